"""What the tests take from their surroundings, and bounded waiting."""

import ctypes
import os
import random
import signal
import socket
import time

BINARY = os.environ.get("SLUICE_BIN", "")
DATA_ROOT = os.environ.get("SLUICE_TEST_DIR", "/var/tmp")
# Sanitizers make everything slower: every deadline is multiplied by this.
TIME_FACTOR = float(os.environ.get("SLUICE_TIME_FACTOR", "1"))
SEED = int(os.environ.get("SLUICE_SEED") or random.SystemRandom().randrange(1 << 32))

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with_parent():
    """Runs in a child before exec: a killed test leaves no node behind. The kernel watches the
    thread that forked, so processes are started from the main thread only."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def seconds(value):
    return value * TIME_FACTOR


def wait_until(condition, what, timeout_s=20.0, pause_s=0.02):
    """The first true value of condition(), polled; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + seconds(timeout_s)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds(timeout_s):.0f} s still not: {what}")
        time.sleep(pause_s)


_next_port = 18000 + os.getpid() % 1000 * 12


def free_port():
    """A free port below the range from which the kernel takes the ports of outgoing connections:
    there another connection could hold it while its node is down, or a dialler meet itself."""
    global _next_port
    for _ in range(2000):
        _next_port += 1
        if _next_port >= 32000:
            _next_port = 18000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _next_port))
                return _next_port
            except OSError:
                continue
    raise AssertionError("no free port between 18000 and 32000")
