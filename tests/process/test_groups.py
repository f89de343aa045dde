"""Many groups behind one port, on one core and on two; clusters of other sizes; fsync policies."""

import unittest

from harness.case import ProcessTest
from harness.env import wait_until


class GroupsTest(ProcessTest):
    def in_every_group(self, pipe, groups, text):
        """One append to each group, all in flight at once. With a producer: the client then sends
        again what a killed node leaves unknown."""
        self.rounds = getattr(self, "rounds", 0) + 1
        answers = []
        for group in range(groups):
            noted = self.history.submit(group, text, 8, self.rounds)
            pipe.submit({"op": "append", "group": group, "data": text, "producer": 8,
                         "sequence": self.rounds, "timeout_ms": 20_000},
                        lambda a, noted=noted: (self.history.answer(noted, a), answers.append(a)))
        wait_until(lambda: len(answers) == groups, f"{groups} answers", 40)
        bad = [a for a in answers if not a["ok"]]
        self.assertFalse(bad, bad[:3])

    def groups_survive(self, groups, shards):
        cluster = self.cluster(groups=groups, shards=shards)
        pipe = cluster.pipe()
        self.in_every_group(pipe, groups, "first")
        self.in_every_group(pipe, groups, "second")
        status = cluster.statuses()
        self.assertEqual({len(s) for s in status.values()}, {groups})
        victim = cluster.nodes[self.random.choice([1, 2, 3])]
        victim.kill()
        self.in_every_group(pipe, groups, "with two")
        victim.start()
        for node in cluster.nodes.values():
            node.kill()
        for node in cluster.nodes.values():
            node.start()
        self.in_every_group(pipe, groups, "after all")
        some = sorted({0, groups - 1, *(self.random.randrange(groups) for _ in range(20))})
        self.history.appends = {k: a for k, a in self.history.appends.items() if k[0] in some}
        self.check(cluster, some)

    def test_1(self):
        self.groups_survive(1, 2)

    def test_16(self):
        self.groups_survive(16, 2)

    def test_1000(self):
        self.groups_survive(1000, 2)

    def test_groups_are_separate_logs(self):
        cluster = self.cluster(groups=4, shards=2)
        loads = [self.load(cluster, f"g{group}", group=group, producer=5, rate=500)
                 for group in range(4)]
        for load in loads:
            load.wait_for(200)
        leader = cluster.wait_for_leader(0)
        cluster.nodes[leader].kill()
        for load in loads:
            load.wait_for(100)
        cluster.nodes[leader].start()
        logs = self.check(cluster, range(4))
        for group in range(4):
            data = [e["data"] for e in logs[group][1] if not e.get("internal")]
            self.assertTrue(all(text.startswith(f"g{group}-") for text in data))


class SizesTest(ProcessTest):
    def test_one_node_alone(self):
        cluster = self.cluster(size=1)
        load = self.load(cluster, "alone", producer=3, rate=1000)
        for _ in range(3):
            load.wait_for(100)
            cluster.nodes[1].kill()
            cluster.nodes[1].start()
        self.check(cluster)

    def test_five_nodes_of_which_two_are_gone(self):
        cluster = self.cluster(size=5)
        load = self.load(cluster, "five", producer=3, rate=500)
        load.wait_for(100)
        victims = [cluster.wait_for_leader()]
        victims.append(next(i for i in cluster.nodes if i not in victims))
        for i in victims:
            cluster.nodes[i].kill()
        load.wait_for(100)
        for i in victims:
            cluster.nodes[i].start()
        self.check(cluster)


class FsyncTest(ProcessTest):
    """A killed process loses nothing under any policy: the kernel has its writes."""

    def policy(self, text):
        cluster = self.cluster(fsync=text)
        load = self.load(cluster, "load", producer=3, rate=1000)
        for _ in range(2):
            load.wait_for(200)
            for node in cluster.nodes.values():
                node.kill()
            for node in cluster.nodes.values():
                node.start()
        load.wait_for(100)
        self.assertEqual(cluster.control.status(1)["fsync"], text)
        self.check(cluster)

    def test_interval(self):
        self.policy("interval=20ms")

    def test_never(self):
        self.policy("never")


if __name__ == "__main__":
    unittest.main()
