"""One `sluice serve`."""

import os
import signal
import subprocess

from .env import BINARY, die_with_parent, seconds, wait_until

LOG_TAIL_BYTES = 6000

# Small enough that a test does not fill a disk, and elections quick enough for ten rounds. Pinning
# would put the first shard of all three nodes on one core.
DEFAULT_OPTIONS = {
    "segment-bytes": 8 << 20,
    "election-timeout-ms": 300,
    "heartbeat-ms": 30,
    "shards": 1,
    "no-pin": None,
}


def command_line(options):
    """{"groups": 4, "no-pin": None, "peer": [..]} as arguments."""
    arguments = []
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            arguments += [f"--{name}"] if one is None else [f"--{name}", str(one)]
    return arguments


class Node:
    def __init__(self, node_id, port, directory, log_path, options):
        self.id = node_id
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.directory = directory
        self.log_path = log_path
        self.options = options
        self.process = None
        self.starts = 0

    def arguments(self):
        return [BINARY, "serve"] + command_line(self.options)

    def spawn(self):
        """Starts the process and does not wait for anything."""
        assert not self.running(), f"node {self.id} runs already"
        self.starts += 1
        with open(self.log_path, "ab") as log:
            log.write(f"--- node {self.id}, start {self.starts}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                self.arguments(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent)

    def start(self, timeout_s=30.0):
        """Starts the process and waits until it takes connections."""
        self.spawn()
        self.wait_until_ready(timeout_s)

    def wait_until_ready(self, timeout_s=30.0):
        wait_until(self.ready, f"node {self.id} listens on {self.address}", timeout_s)

    def ready(self):
        """It said that it listens. (That somebody accepts at its port is not enough: the kernel keeps
        the port of a killed process for as long as its ring is being torn down.)"""
        if self.process.poll() is not None:
            raise AssertionError(
                f"node {self.id} did not start: exit {self.process.returncode}\n{self.log()}")
        return "listens on" in self.log().rsplit("--- node ", 1)[1]

    def running(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        assert self.running(), f"node {self.id} is gone by itself\n{self.log()}"
        self.process.send_signal(number)

    def kill(self):
        """kill -9. Returns once the process is gone, so that its port is free."""
        self.send_signal(signal.SIGKILL)
        self.process.wait(seconds(20))

    def pause(self):
        """SIGSTOP. Returns once every thread stands still: the signal alone is not the state."""
        self.send_signal(signal.SIGSTOP)
        wait_until(lambda: set(self._thread_states()) <= {"T"}, f"node {self.id} stands still")

    def _thread_states(self):
        tasks = f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/stat") as stat:
                yield stat.read().rsplit(")", 1)[1].split()[0]

    def resume(self):
        self.send_signal(signal.SIGCONT)

    def stop(self, number=signal.SIGTERM):
        """Asks the process to end; its exit status."""
        self.send_signal(number)
        return self.process.wait(seconds(20))

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def log(self):
        try:
            size = os.path.getsize(self.log_path)
            with open(self.log_path, "rb") as log:
                log.seek(max(0, size - LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return "(never started)"
