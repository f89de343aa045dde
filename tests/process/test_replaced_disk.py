"""A node comes back with an empty disk under its old id (S56)."""

import json
import shutil
import time
import unittest

from harness.case import ProcessTest
from harness.env import wait_until

ELECTIONS_S = 3  # several election time-outs (harness/node.py)


class S56ReplacedDiskTest(ProcessTest):
    def wipe(self, node):
        """Its disk is replaced: the directory is gone, and made anew by the next start."""
        if node.running():
            node.kill()
        shutil.rmtree(node.directory)
        node.start()

    def refusal(self, node, peer):
        """Waits until `node` has said, since its start, that `peer` is not what it was."""
        wait_until(lambda: f"the data directory of node {peer} is" in self.notices(node),
                   f"node {node.id} refuses node {peer}")

    def notices(self, node):
        """What it said since its last start."""
        return node.log().rsplit("--- node ", 1)[1]

    def trust(self, cluster, node_id, peer):
        node = cluster.nodes[node_id]
        self.assertEqual(node.stop(), 0)
        node.options["trust-new-directory-of"] = peer
        node.start()
        del node.options["trust-new-directory-of"]

    def status(self, cluster, node_id):
        return cluster.group_status().get(node_id, {})

    def cluster_that_knows_itself(self, **options):
        """Every node has met every other one; some entries are on all of them."""
        cluster = self.cluster(**options)
        pipe = cluster.pipe()
        for i in range(50):
            self.append_ok(pipe, f"before {i}", timeout_ms=15_000)
        cluster.wait_until_equal()
        for node_id in cluster.nodes:
            others = sorted(set(cluster.nodes) - {node_id})
            wait_until(lambda: self.known_to(cluster.nodes[node_id]) == others,
                       f"node {node_id} has met {others}")
        return cluster, pipe

    def known_to(self, node):
        """The peers that each shard of a running node remembers, by a copy of its files."""
        copy = node.directory + "-copy"
        try:
            shutil.copytree(node.directory, copy)
            done = self.sluice("inspect", "--json", copy)
        except shutil.Error:
            return None  # a file got another name meanwhile
        finally:
            shutil.rmtree(copy)
        if done.returncode != 0:
            return None  # copied while it was written to
        shards = json.loads(done.stdout)["shards"]
        known = [[peer["node_id"] for peer in shard["peers"]] for shard in shards]
        return known[0] if all(one == known[0] for one in known) else None

    def test_s56_an_empty_disk_is_refused_and_its_votes_do_not_count(self):
        """The entry is acknowledged by 1 and 3 alone. 3 loses its disk, 1 stops: 2 and the empty 3
        would be a majority without the entry."""
        cluster, pipe = self.cluster_that_knows_itself()
        one, two, three = (cluster.nodes[i] for i in (1, 2, 3))
        end_of_two = self.status(cluster, 2)["last_index"]
        two.kill()
        cluster.wait_for_leader(but_not=(2,))
        for i in range(20):
            self.append_ok(pipe, f"without 2: {i}", timeout_ms=15_000)
        one.kill()
        self.wipe(three)
        two.start()
        self.refusal(two, 3)
        self.refusal(three, 3)  # its own operator reads it, too
        time.sleep(ELECTIONS_S)
        for node_id in (2, 3):
            seen = self.status(cluster, node_id)
            self.assertNotEqual(seen["role"], "leader", seen)
            self.assertEqual(seen["leader_id"], 0, seen)
        self.assertEqual(self.status(cluster, 3)["last_index"], 0)
        self.assertEqual(self.status(cluster, 2)["last_index"], end_of_two)

        one.start()
        self.assertEqual(cluster.wait_for_leader(), 1)  # only 1 has everything
        for i in range(20):
            self.append_ok(pipe, f"without 3: {i}", timeout_ms=15_000)
        self.refusal(one, 3)
        self.assertEqual(self.status(cluster, 3)["last_index"], 0)
        entries = cluster.read_all(1, 0, 1, self.status(cluster, 1)["commit_index"])
        self.assertEqual([e["data"] for e in entries if not e.get("internal")],
                         [a.data for a in self.history.appends.values()])

        # 1 and 2 hold everything that was committed: now it is safe.
        self.trust(cluster, 1, 3)
        self.trust(cluster, 2, 3)
        cluster.wait_for_leader()
        self.append_ok(pipe, "with the new 3", timeout_ms=15_000)
        self.check(cluster)
        # From now on the new directory is the one that they know, without the option.
        for node in (one, two):
            self.assertEqual(node.stop(), 0)
            node.start()
        cluster.wait_until_equal()
        two.kill()
        cluster.wait_for_leader(but_not=(2,))
        self.append_ok(pipe, "by 1 and the new 3", timeout_ms=15_000)
        two.start()
        self.check(cluster)
        for node in (one, two):
            self.assertNotIn("the data directory of node 3", self.notices(node))

    def test_s56_a_running_majority_refuses_it_and_goes_on(self):
        cluster, pipe = self.cluster_that_knows_itself(shards=2, groups=2)
        victim = cluster.follower()
        self.wipe(cluster.nodes[victim])
        for i in range(20):
            self.append_ok(pipe, f"after {i}", timeout_ms=15_000)
        for node_id, node in cluster.nodes.items():
            if node_id != victim:
                self.refusal(node, victim)
        time.sleep(ELECTIONS_S)
        self.append_ok(pipe, "still", timeout_ms=15_000)
        for group in (0, 1):
            seen = cluster.group_status(group)[victim]
            self.assertEqual((seen["last_index"], seen["leader_id"]), (0, 0), seen)
        for node_id in cluster.nodes:
            if node_id != victim:
                self.trust(cluster, node_id, victim)
        self.check(cluster, groups=(0, 1))

    def test_s56_a_directory_that_comes_back_is_taken_again(self):
        """The empty disk was a mistake (a mount that was missing): the old one is still the one that
        is known."""
        cluster, pipe = self.cluster_that_knows_itself()
        three = cluster.nodes[3]
        three.kill()
        right = three.options["data-dir"]
        three.options["data-dir"] = right + "-wrong"
        three.start()
        self.refusal(three, 3)
        three.kill()
        three.options["data-dir"] = right
        three.start()
        self.append_ok(pipe, "after", timeout_ms=15_000)
        self.check(cluster)

    def test_s56_trust_is_for_one_directory_and_one_start(self):
        cluster, _ = self.cluster_that_knows_itself()
        self.wipe(cluster.nodes[3])
        for node_id in (1, 2):
            self.trust(cluster, node_id, 3)
        self.check(cluster)
        self.assertIn("--trust-new-directory-of", self.notices(cluster.nodes[1]))
        self.wipe(cluster.nodes[3])  # once more, while the ones that trusted still run
        for node_id in (1, 2):
            self.refusal(cluster.nodes[node_id], 3)
        time.sleep(ELECTIONS_S)
        self.assertEqual(self.status(cluster, 3)["last_index"], 0)
        for node_id in (1, 2):
            self.trust(cluster, node_id, 3)
        self.check(cluster)

    def test_s56_trust_of_a_stranger_or_of_itself_is_bad_usage(self):
        cluster = self.cluster(start=False)
        options = cluster.nodes[1].options
        for value, part in ((4, b"node 4"), (1, b"its own"), ("x", b'"x"'), (0, b'"0"')):
            options["trust-new-directory-of"] = value
            done = self.sluice(*cluster.nodes[1].arguments()[1:], check=2)
            self.assertIn(part, done.stderr)
            self.assert_one_clear_line(done.stderr)


if __name__ == "__main__":
    unittest.main()
