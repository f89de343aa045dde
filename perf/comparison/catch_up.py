"""What a follower that catches up costs the leader: three nodes under load, one of the followers is
killed, stays away for a while, and comes back."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

from . import process

LOAD = ("--outstanding=4096", "--entry-bytes=256")
SECONDS_MIN = 3  # of each phase: a sample a second
# Of the load, at most: one before, one without the follower, six in which it gains half of what is
# appended in each (engine/shard/catch_up_pace.h), one for its start, and one afterwards.
PHASES = 10
SETTLED = 2      # samples before any counts
LINE = re.compile(r"measuring\s+([\d,]+) entries/s")


class Load:
    """A `sluice bench` against given nodes, and what its progress says each second."""

    def __init__(self, binary, cluster, seconds):
        self.child = subprocess.Popen(
            [binary, "bench", "--json", f"--cluster={cluster}", f"--seconds={seconds}", *LOAD],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.seconds = seconds
        self.rates = []    # (when, entries per second of the second before)
        self.errors = []
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()

    def watch(self):
        for line in self.child.stderr:
            found = LINE.search(line)
            if found:
                self.rates.append((time.monotonic(), float(found[1].replace(",", ""))))
            else:
                self.errors = [*self.errors[-3:], line.strip()]

    def wait_for_lines(self, count, seconds):
        until = time.monotonic() + seconds
        while len(self.rates) < count:
            if self.child.poll() is not None or time.monotonic() > until:
                raise process.Failed(f"sluice bench: {' / '.join(self.errors)}")
            time.sleep(0.02)

    def ends_at(self, healthy):
        """Shortly before its last seconds, if SETTLED were measured when `healthy` was."""
        return healthy + self.seconds - SETTLED - 2

    def finish(self):
        """Its result; it has read everything back from all three nodes."""
        out = self.child.stdout.read()
        self.watcher.join()
        if self.child.wait() != 0 or json.loads(out)["verified"] is not True:
            raise process.Failed(f"sluice bench: {' / '.join(self.errors)}")

    def mean(self, begin, end):
        """Of the seconds that lie within; at least the first that ends after `begin`."""
        inside = [rate for at, rate in self.rates if begin + 1 <= at <= end]
        inside = inside or [rate for at, rate in self.rates if at > begin + 0.5][:1]
        if not inside:
            raise process.Failed("the load ended before the follower had caught up")
        return sum(inside) / len(inside)


class Nodes:
    def __init__(self, binary, directory):
        self.binary, self.directory = binary, directory
        self.ports = process.free_ports(3)
        self.children = [self.start(i) for i in range(3)]

    def start(self, i):
        peers = [f"--peer={j + 1}=127.0.0.1:{port}" for j, port in enumerate(self.ports)]
        return process.start(
            [self.binary, "serve", f"--node-id={i + 1}", "--cluster-id=catch-up",
             f"--data-dir={self.directory}/node-{i + 1}", f"--listen=127.0.0.1:{self.ports[i]}",
             "--shards=1", "--no-pin", "--fsync=always", *peers],
            os.path.join(self.directory, f"log-{i + 1}"))

    def cluster(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def groups(self):
        """The one group as each node sees it; None for one that does not answer."""
        text = process.run([self.binary, "status", "--json", f"--cluster={self.cluster()}",
                            "--timeout-ms=2000"], 20)
        return [(node.get("groups") or [None])[0] for node in json.loads(text)]

    def follower(self):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                groups = self.groups()
            except process.Failed:  # none is up yet
                groups = [None]
            if all(groups) and any(group["role"] == "leader" for group in groups):
                return next(i for i, group in enumerate(groups) if group["role"] != "leader")
            time.sleep(0.1)
        raise process.Failed("no leader")

    def has_caught_up(self, i):
        """Less than a quarter of a second of full load behind is not behind."""
        groups = self.groups()
        lead = max(group["last_index"] for group in groups if group)
        return groups[i] is not None and lead - groups[i]["durable_index"] < 100_000


def run(binary, data_dir, seconds):
    """Entries per second with all nodes (before the follower went and afterwards, since a machine
    drifts) and while it caught up. Raises Failed, also if it did not catch up while the load lasted."""
    seconds = max(seconds, SECONDS_MIN)
    directory = tempfile.mkdtemp(prefix="sluice-perf-catch-up-", dir=data_dir)
    nodes = load = None
    try:
        nodes = Nodes(binary, directory)
        follower = nodes.follower()
        load = Load(binary, nodes.cluster(), round(PHASES * seconds + 8))
        load.wait_for_lines(SETTLED, 60)
        healthy = time.monotonic()
        load.wait_for_lines(SETTLED + round(seconds), 60)
        gone = time.monotonic()
        process.stop([nodes.children[follower]])
        time.sleep(seconds)
        back = time.monotonic()
        nodes.children[follower] = nodes.start(follower)
        caught_up = False
        while not caught_up and time.monotonic() < load.ends_at(healthy):
            time.sleep(0.1)
            caught_up = nodes.has_caught_up(follower)
        done = time.monotonic()
        load.finish()
        during = load.mean(back, done)
        whole = [load.mean(healthy, gone)]
        # A share that is left because the follower gets nothing is none.
        if not caught_up:
            raise process.Failed(f"the follower was still behind {done - back:.0f} s after it came back; "
                                 f"{during:,.0f} entries/s meanwhile, {whole[0]:,.0f} before")
        whole.append(load.mean(done, time.monotonic()))
        return {"whole_per_s": whole, "during_per_s": during,
                "share_left": during * len(whole) / sum(whole),
                "away_s": back - gone, "catching_up_s": done - back}
    finally:
        if load and load.child.poll() is None:
            load.child.terminate()
            load.child.wait()
        if nodes:
            process.stop(nodes.children)
        shutil.rmtree(directory, ignore_errors=True)
