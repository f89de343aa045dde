"""The floor and Sluice: each run starts its own three nodes.

What run() of every system returns, None where it is not known:
  entries_per_s, bytes_per_s, latency_ms {p50, p90, p99, p999, p9999, max}, unsent,
  cpu {leader, followers, servers, machine}: microseconds an entry; servers is the sum of the three,
  generator {in_process, cpu_us_per_entry, core_share}, rss_bytes [...], durable, details
"""

import json
import os
import subprocess
import threading
import time

from . import process


def run_timeout(seconds):
    """For preparing, measuring, catching up and reading back."""
    return 180 + 20 * seconds


class Floor:
    name = "floor"
    title = "the floor"
    durable = True

    def __init__(self, binary, data_dir):
        self.binary, self.data_dir = binary, data_dir

    def why_missing(self):
        return None if os.access(self.binary, os.X_OK) else f"{self.binary} is missing"

    def takes(self, workload):
        return workload.groups == 1

    def run(self, workload, rate, seconds, warmup):
        command = [self.binary, "--json", f"--entry-bytes={workload.entry_bytes}",
                   f"--seconds={seconds}", f"--warmup-seconds={warmup}",
                   f"--data-dir={self.data_dir}"]
        command += [f"--rate={rate:.0f}"] if rate else [f"--outstanding={workload.outstanding}"]
        if workload.batch_bytes_max:
            command.append(f"--batch-bytes-max={workload.batch_bytes_max}")
        raw = json.loads(process.run(command, run_timeout(seconds)))
        cpu = raw["cpu_us_per_entry"]
        followers = [cpu["follower_1"], cpu["follower_2"]]
        return {
            "entries_per_s": raw["entries_per_s"], "bytes_per_s": raw["bytes_per_s"],
            "latency_ms": raw["latency_ms"], "unsent": raw["unsent"],
            "cpu": {"leader": cpu["leader"], "followers": followers,
                    "servers": cpu["leader"] + sum(followers), "machine": cpu["machine"]},
            "generator": {"in_process": True, "cpu_us_per_entry": None, "core_share": None},
            "rss_bytes": raw["rss_bytes_max"], "durable": not raw["tmpfs"], "details": raw,
        }


class Sampler:
    """Watches a `sluice bench`: what its nodes and the machine used while it measured."""

    def __init__(self, child, in_process, warmup):
        self.child, self.in_process, self.warmup = child, in_process, warmup
        self.first = self.last = None
        self.errors = []

    def sample(self):
        pids = process.descendants(self.child.pid)
        return {"at": time.monotonic(), "busy": process.busy_seconds(),
                "cpu": {pid: process.cpu_seconds(pid) for pid in pids},
                "rss": [process.rss_bytes(pid) for pid in
                        [*pids, *([self.child.pid] if self.in_process else [])]]}

    def begin(self):
        self.first = self.sample()

    def watch(self):
        """Its progress says when the load begins and when it reads back."""
        timer = threading.Timer(self.warmup, self.begin)
        timer.daemon = True
        for line in self.child.stderr:
            self.errors = [*self.errors[-4:], line.strip()]
            if line.startswith("warming up for") and not timer.is_alive() and self.first is None:
                timer.start()
            elif self.first and self.last is None and line.startswith("reading back"):
                self.last = self.sample()

    def per_entry(self, entries_per_s):
        """(leader, [followers], machine, rss): the leader is the node that worked most."""
        if not self.first or not self.last:
            return None, None, None, []
        seconds = self.last["at"] - self.first["at"]
        entries = entries_per_s * seconds
        if entries <= 0 or seconds < 0.5:
            return None, None, None, self.last["rss"]
        nodes = sorted((self.last["cpu"][pid] - before for pid, before in self.first["cpu"].items()
                        if pid in self.last["cpu"]), reverse=True)
        us = [node * 1e6 / entries for node in nodes]
        machine = (self.last["busy"] - self.first["busy"]) * 1e6 / entries
        return (us[0] if us else None), us[1:], machine, self.last["rss"]


class Sluice:
    durable = True

    def __init__(self, binary, data_dir, in_process):
        self.binary, self.data_dir, self.in_process = binary, data_dir, in_process
        self.name = "sluice-in-process" if in_process else "sluice"
        self.title = "Sluice, client in process" if in_process else "Sluice"

    def why_missing(self):
        if not os.access(self.binary, os.X_OK):
            return f"{self.binary} is missing"
        if self.in_process and "--in-process" not in process.run([self.binary, "bench", "--help"],
                                                                 20):
            return "this `sluice bench` has no --in-process"
        return None

    def takes(self, _workload):
        return True

    def command(self, workload, rate, seconds, warmup):
        command = [self.binary, "bench", "--json", f"--entry-bytes={workload.entry_bytes}",
                   f"--groups={workload.groups}", f"--seconds={seconds}",
                   f"--warmup-seconds={warmup}", "--recycle", f"--data-dir={self.data_dir}",
                   "--fsync=always"]
        command += [f"--rate={rate:.0f}"] if rate else [f"--outstanding={workload.outstanding}"]
        if workload.batch_bytes_max:
            command.append(f"--batch-bytes-max={workload.batch_bytes_max}")
        if self.in_process:
            command.append("--in-process")
        return command

    def run(self, workload, rate, seconds, warmup):
        command = self.command(workload, rate, seconds, warmup)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as child:
            sampler = Sampler(child, self.in_process, warmup)
            watcher = threading.Thread(target=sampler.watch, daemon=True)
            watcher.start()
            timer = threading.Timer(run_timeout(seconds), child.terminate)
            timer.daemon = True
            timer.start()
            try:
                out = child.stdout.read()
                watcher.join()
            except BaseException:
                child.terminate()  # it stops its nodes
                raise
            finally:
                timer.cancel()
        if child.returncode != 0:
            raise process.Failed(f"sluice bench failed: {' / '.join(sampler.errors)}")
        raw = json.loads(out)
        if raw["verified"] is not True:
            raise process.Failed("sluice bench: what was acknowledged does not read back")
        leader, followers, machine, rss = sampler.per_entry(raw["entries_per_s"])
        client = raw.get("client_cpu_us_per_entry")
        share = client * raw["entries_per_s"] / 1e6 if client is not None else None
        return {
            "entries_per_s": raw["entries_per_s"], "bytes_per_s": raw["bytes_per_s"],
            "latency_ms": raw["latency_ms"], "unsent": raw.get("unsent", 0),
            "cpu": {"leader": None if self.in_process else leader,
                    "followers": None if self.in_process else followers,
                    "servers": raw.get("cpu_us_per_entry"), "machine": machine},
            "generator": {"in_process": self.in_process,
                          "cpu_us_per_entry": None if self.in_process else client,
                          "core_share": None if self.in_process else share},
            "rss_bytes": rss, "durable": raw["options"]["fsync"] == "always" and not raw["tmpfs"],
            "details": raw,
        }
