"""S43, S52: memory is bounded by the configuration, whoever does not read."""

import socket
import time
import unittest

from harness.case import ProcessTest
from harness.frames import example

MIB = 1 << 20
TAIL_BYTES = 4 * MIB
SEND_QUEUE_BYTES_MAX = 4 * MIB
# What the options allow (the tail, one queue for each connection, one window for each follower) and
# what the allocator keeps.
GROWTH_MAX = 80 * MIB


class MemoryTest(ProcessTest):
    def bounded_cluster(self, **options):
        return self.cluster(tail_bytes=TAIL_BYTES, send_queue_bytes_max=SEND_QUEUE_BYTES_MAX,
                            inflight_bytes_max=4 * MIB, uncommitted_bytes_max=8 * MIB, **options)

    def fill(self, cluster, group, megabytes):
        self.fills = getattr(self, "fills", 0) + 1
        load = self.load(cluster, f"fill-{self.fills}", group=group, window=32, rate=5000,
                         entry_bytes=64 << 10, timeout_ms=20_000)
        load.wait_for(megabytes * 16, timeout_s=90)
        load.finish()
        self.loads.remove(load)

    def test_s43_a_client_that_never_reads_its_replies(self):
        cluster = self.bounded_cluster(groups=4)
        cluster.wait_for_leader(3)
        self.fill(cluster, 3, 24)
        leader = cluster.nodes[cluster.wait_for_leader(3)]
        before = leader.rss_bytes()
        highest = before
        read = example("read")  # group 3, from index 5, at most 100 entries: 6 MiB wanted each time
        greedy = []
        for _ in range(4):
            connection = socket.create_connection(("127.0.0.1", leader.port), timeout=5)
            self.addCleanup(connection.close)
            connection.sendall(example("hello"))
            connection.settimeout(0.05)
            greedy.append(connection)
        end = time.monotonic() + 5
        sent = 0
        while time.monotonic() < end and greedy:
            for connection in list(greedy):
                try:
                    sent += connection.send(read * 50)
                except socket.timeout:
                    pass
                except ConnectionError:
                    greedy.remove(connection)  # cut off: as good as waiting
            highest = max(highest, leader.rss_bytes())
        self.assertGreater(sent, len(read) * 200, "enough requests to fill gigabytes")
        growth = (highest - before) // MIB
        self.assertLess(highest - before, GROWTH_MAX, f"grew by {growth} MiB")
        print(f"grew by {growth} MiB after requests for {sent // len(read)} MiB and more")
        self.append_ok(cluster.pipe(), "the node lives", 3)
        self.check(cluster, (3,))

    def test_a_follower_that_stands_still(self):
        cluster = self.bounded_cluster()
        self.fill(cluster, 0, 16)
        leader = cluster.nodes[cluster.wait_for_leader()]
        follower = cluster.nodes[cluster.follower()]
        before = leader.rss_bytes()
        follower.pause()
        self.fill(cluster, 0, 128)
        growth = (leader.rss_bytes() - before) // MIB
        self.assertLess(growth * MIB, GROWTH_MAX, f"grew by {growth} MiB with 128 MiB appended")
        print(f"grew by {growth} MiB with 128 MiB appended")
        follower.resume()
        self.check(cluster)

    def test_s52_without_a_majority_the_uncommitted_tail_is_bounded(self):
        cluster = self.bounded_cluster()
        self.fill(cluster, 0, 4)
        leader = cluster.nodes[cluster.wait_for_leader()]
        others = [node for node in cluster.nodes.values() if node is not leader]
        before = leader.rss_bytes()
        for node in others:
            node.pause()
        pipe = cluster.pipe()
        answers = []
        for i in range(1000):  # 64 MB
            data = f"stuck-{i:05d}-".ljust(64 << 10, ".")
            noted = self.history.submit(0, data)
            pipe.submit({"op": "append", "data": data, "node": leader.id, "timeout_ms": 3000},
                        lambda a, noted=noted: (self.history.answer(noted, a), answers.append(a)))
        deadline = time.monotonic() + 30
        while len(answers) < 1000 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(len(answers), 1000, "every append has an outcome")
        growth = (leader.rss_bytes() - before) // MIB
        self.assertLess(growth * MIB, GROWTH_MAX, f"grew by {growth} MiB")
        print(f"grew by {growth} MiB")
        self.assertFalse([a for a in answers if a["ok"]])
        for node in others:
            node.resume()
        self.append_ok(cluster.pipe(), "afterwards", timeout_ms=20_000)
        self.check(cluster)


if __name__ == "__main__":
    unittest.main()
