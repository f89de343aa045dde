"""Processes: starting, counting, and stopping those that were started here, by their ids alone."""

import os
import signal
import socket
import subprocess
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A run that gave no result; the text says why."""


def stat_fields(pid):
    """The fields of /proc/PID/stat from the third on (proc(5)); None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def cpu_seconds(pid):
    """User and system time of all threads, those that io_uring runs in the kernel among them."""
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S if fields else 0.0


def busy_seconds():
    """All processors together: has the kernel's own threads too, and all else on the machine."""
    with open("/proc/stat", encoding="utf-8") as file:
        user, nice, system, _idle, _wait, irq, soft_irq = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + soft_irq) / TICKS_PER_S


def rss_bytes(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def descendants(pid):
    """Children of `pid`, their children, and so on, without itself."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = stat_fields(name)
        if fields:
            parents[int(name)] = int(fields[1])
    found, wave = [], [pid]
    while wave:
        wave = [child for child, parent in parents.items() if parent in wave]
        found += wave
    return found


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def free_ports(count):
    sockets = []
    for _ in range(count):
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        sockets.append(one)
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for_port(port, child, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if child.poll() is not None:
            raise Failed(f"{child.args[0]} ended with {child.returncode}")
        with socket.socket() as one:
            one.settimeout(1)
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise Failed(f"{child.args[0]} does not listen")


def start(command, log, env=None):
    """In a session of its own, so that a Ctrl-C reaches perf/compare alone, which stops it."""
    with open(log, "ab") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                start_new_session=True)


def stop(children):
    """Ends the given processes and what they started. Their data is not needed any more."""
    for child in children:
        for pid in [*descendants(child.pid), child.pid] if child.poll() is None else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        child.wait()


def run(command, timeout):
    """Its standard output. Raises Failed."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} does not end") from error
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-3:]
        raise Failed(f"{os.path.basename(command[0])} failed: {' / '.join(last)}")
    return done.stdout
