"""Foreign clusters are refused in both directions (S55)."""

import os
import time
import unittest

from harness.case import ProcessTest
from harness.pipe import Pipe


class ClusterIdTest(ProcessTest):
    def test_a_node_of_another_cluster_takes_no_part(self):
        """Node 3 has the right id and address and another cluster's name: it dials the others and is
        refused, they dial it and are refused."""
        cluster = self.cluster(start=False)
        cluster.nodes[3].options["cluster-id"] = "other"
        cluster.start()
        pipe = self.pipe_to([cluster.nodes[1].address, cluster.nodes[2].address], "demo")
        self.append_ok(pipe, "one", timeout_ms=15_000)
        leader = next(i for i in (1, 2) if pipe.status(i)["groups"][0]["role"] == "leader")
        term = pipe.status(leader)["groups"][0]["term"]
        time.sleep(2)  # several election time-outs: it must not disturb
        status = pipe.status(leader)["groups"][0]
        self.assertEqual((status["role"], status["term"]), ("leader", term))
        self.append_ok(pipe, "two")
        stranger = self.pipe_to([cluster.nodes[3].address], "other")
        seen = stranger.status(3)
        self.assertTrue(seen["reachable"], seen)
        self.assertNotEqual(seen["groups"][0]["role"], "leader")
        self.assertEqual(seen["groups"][0]["leader_id"], 0)
        self.assertEqual(seen["groups"][0]["last_index"], 0)
        # With two alone, one of them being needed by the other, nothing came from the stranger.
        cluster.nodes[3].kill()
        cluster.nodes[3].options.update({"cluster-id": "demo",
                                         "data-dir": cluster.nodes[3].directory + "-right"})
        cluster.nodes[3].start()
        self.check(cluster)

    def pipe_to(self, addresses, cluster_id):
        pipe = Pipe(addresses, os.path.join(self.directory, "foreign.log"), "--cluster-id", cluster_id)
        self.addCleanup(pipe.destroy)
        return pipe

    def test_a_client_that_names_another_cluster_is_refused(self):
        cluster = self.cluster()
        self.append_ok(cluster.pipe(), "mine")
        stranger = cluster.pipe("--cluster-id", "other")
        answer = self.append(stranger, "not mine", timeout_ms=3000)
        self.assertEqual((answer["ok"], answer["error"], answer["code"]),
                         (False, "refused", "wrong_cluster"))
        answer = stranger.read(**{"from": 1}, timeout_ms=3000)
        self.assertFalse(answer["ok"], answer)
        addresses = ",".join(cluster.addresses())
        done = self.sluice("append", "--cluster", addresses, "--cluster-id", "other",
                           "--timeout-ms", 3000, stdin=b"not mine either\n", check=1)
        self.assertIn(b"wrong_cluster", done.stderr)
        self.append_ok(cluster.pipe("--cluster-id", "demo"), "mine too")
        logs = self.check(cluster)
        self.assertEqual([e["data"] for e in logs[0][1] if not e.get("internal")],
                         ["mine", "mine too"])

    def test_a_list_with_nodes_of_two_clusters_is_refused(self):
        one = self.cluster()
        two = self.cluster(name="another")
        self.append_ok(one.pipe(), "one")
        two.wait_for_leader()
        for mixed in ([one.addresses()[0], *two.addresses()], one.addresses() + two.addresses()):
            done = self.sluice("append", "--cluster", ",".join(mixed), "--timeout-ms", 3000,
                               stdin=b"to whom?\n")
            self.assertEqual(done.returncode, 1, done.stderr)
        for cluster in (one, two):
            entries = cluster.logs()[0][1]
            self.assertNotIn("to whom?", [e.get("data") for e in entries])

    def test_groups_or_shards_that_differ_are_refused(self):
        """Peers must agree on them: a node that differs takes no part, and says why."""
        cluster = self.cluster(start=False, groups=2)
        cluster.nodes[3].options["groups"] = 5
        for node in cluster.nodes.values():
            node.spawn()
        pipe = cluster.pipe()
        self.append_ok(pipe, "with two", timeout_ms=15_000)
        self.assertNotEqual(cluster.wait_for_leader(), 3)
        status = pipe.status(3)
        if status["reachable"]:
            self.assertEqual([g["last_index"] for g in status["groups"]], [0] * 5)


if __name__ == "__main__":
    unittest.main()
