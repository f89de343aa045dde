"""kill -9, ten rounds each: every acknowledged entry is there, once, in order, equal on all nodes."""

import os
import time
import unittest

from harness.case import ProcessTest

ROUNDS = 10
ENTRIES_BETWEEN_KILLS = 150


class KillTest(ProcessTest):
    def start_loads(self, cluster):
        """One client that never tries twice, and one with a producer that must land exactly once."""
        return [self.load(cluster, "plain", rate=1000),
                self.load(cluster, "producer", producer=7, rate=1000)]

    def some_progress(self, loads, count=ENTRIES_BETWEEN_KILLS):
        for load in loads:
            load.wait_for(count)

    def finish(self, cluster, loads):
        logs = self.check(cluster)
        acknowledged = self.history.count()
        self.assertGreaterEqual(acknowledged, ROUNDS * ENTRIES_BETWEEN_KILLS)
        made = loads[1]._made
        landed = [e["data"] for e in logs[0][1] if e.get("data", "").startswith("producer-")]
        self.assertEqual(len(landed), made, "with a producer, each entry lands exactly once")

    def test_leader(self):
        cluster = self.cluster()
        loads = self.start_loads(cluster)
        for _ in range(ROUNDS):
            self.some_progress(loads)
            leader = cluster.wait_for_leader()
            cluster.nodes[leader].kill()
            self.some_progress(loads)  # the other two go on
            cluster.nodes[leader].start()
        self.finish(cluster, loads)

    def test_follower(self):
        cluster = self.cluster()
        loads = self.start_loads(cluster)
        for _ in range(ROUNDS):
            self.some_progress(loads)
            follower = cluster.follower()
            cluster.nodes[follower].kill()
            self.some_progress(loads)
            cluster.nodes[follower].start()
        self.finish(cluster, loads)

    def test_all_at_once(self):
        cluster = self.cluster()
        loads = self.start_loads(cluster)
        for _ in range(ROUNDS):
            self.some_progress(loads)
            for node in cluster.nodes.values():
                node.kill()
            for node in cluster.nodes.values():
                node.start()
        self.some_progress(loads)
        self.finish(cluster, loads)

    def test_any_node_at_any_moment(self):
        """Moments and nodes by the seed, starts under way among them: a node always starts again."""
        cluster = self.cluster()
        loads = self.start_loads(cluster)
        self.some_progress(loads)
        for _ in range(3 * ROUNDS):
            node = cluster.nodes[self.random.choice([1, 2, 3])]
            if not node.running():
                node.spawn()  # and perhaps killed again before it listens
            time.sleep(self.random.choice([0, 0.002, 0.02, 0.1, 0.3]) * self.random.random())
            node.kill()
            if self.random.random() < 0.7:
                node.start()
            time.sleep(0.2 * self.random.random())
        for node in cluster.nodes.values():
            if not node.running():
                node.start()
        self.some_progress(loads)
        self.finish(cluster, loads)

    def test_during_rollover_and_recycling_of_segments(self):
        """Entries so large that a node starts a new segment every few rounds of group commit."""
        cluster = self.cluster(segment_bytes=1 << 20, batch_bytes_max=64 << 10)
        load = self.load(cluster, "large", producer=9, window=16, rate=300, entry_bytes=20_000)
        for _ in range(ROUNDS):
            load.wait_for(60)
            node = cluster.nodes[self.random.choice([1, 2, 3])]
            node.kill()
            node.start()
        self.check(cluster)

    def test_what_a_killed_start_leaves_does_not_stop_the_next(self):
        """S34, S41: half-made files of the node's own are no reason to stay down; files of somebody
        else's are left alone."""
        cluster = self.cluster()
        self.append_ok(cluster.pipe(), "before")
        node = cluster.nodes[1]
        node.kill()
        shard = os.path.join(node.directory, "shard-0")
        for name, size in (("probe", 0), ("spare-77.tmp", 0), ("spare-78.tmp", 12345),
                           ("notes.txt", 100)):
            with open(os.path.join(shard, name), "wb") as file:
                file.write(b"\x5a" * size)
        node.start()
        with open(os.path.join(shard, "notes.txt"), "rb") as file:
            self.assertEqual(file.read(), b"\x5a" * 100)
        self.append_ok(cluster.pipe(), "after", timeout_ms=15_000)
        self.check(cluster)


if __name__ == "__main__":
    unittest.main()
