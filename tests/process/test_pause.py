"""Nodes that stand still for a while (SIGSTOP) or were away: leadership, catching up."""

import unittest

from harness.case import ProcessTest
from harness.env import wait_until


class PauseTest(ProcessTest):
    def test_s54_a_leader_that_was_stopped_acknowledges_nothing_of_its_own(self):
        """S54: while a leader stands still the others elect another; what it does when it wakes up,
        with requests waiting in its socket, must not look like success."""
        cluster = self.cluster()
        load = self.load(cluster, "all", rate=500)
        stale_answers = []
        for round_number in range(3):
            load.wait_for(100)
            old = cluster.wait_for_leader()
            term = cluster.group_status()[old]["term"]
            only_old = cluster.pipe()
            self.append_ok(only_old, f"before-{round_number}", node=old)
            cluster.nodes[old].pause()
            try:
                noted = []
                for i in range(20):  # they wait in the socket of the stopped node
                    data = f"stale-{round_number}-{i}"
                    append = self.history.submit(0, data)
                    only_old.submit({"op": "append", "group": 0, "data": data, "node": old,
                                     "timeout_ms": 4000},
                                    lambda answer, append=append: (
                                        self.history.answer(append, answer),
                                        stale_answers.append((term, answer))))
                    noted.append(append)
                self.wait_for_other_leader(cluster, old, term)
                load.wait_for(100)
            finally:
                cluster.nodes[old].resume()
            answer = cluster.control.read(node=old, **{"from": 1}, count=100_000, timeout_ms=4000)
            self.assertTrue(answer["ok"], answer)
            self.history.saw(old, 0, answer["entries"])
            wait_until(lambda: all(a.answers for a in noted), "every stale append has an outcome")
        self.check(cluster)  # an acknowledgement of the stale leader would be found here
        for term, answer in stale_answers:
            self.assertFalse(answer.get("ok") and answer["term"] == term,
                             f"acknowledged in the term that was over: {answer}")

    def wait_for_other_leader(self, cluster, old, term):
        def another():
            return any(one["role"] == "leader" and one["term"] > term
                       for node, one in cluster.group_status().items() if node != old)
        wait_until(another, f"a leader after term {term}, node {old} being stopped")

    def test_a_stopped_leader_of_old_shows_no_leader_of_an_old_term(self):
        """leader_id is 0 while no leader of the current term is known."""
        cluster = self.cluster()
        leader = cluster.wait_for_leader()
        others = [i for i in cluster.nodes if i != leader]
        cluster.nodes[leader].kill()
        cluster.nodes[others[0]].kill()
        lonely = others[1]
        before = cluster.group_status()[lonely]["term"]

        def knows_none():
            one = cluster.group_status().get(lonely)
            if one and one["term"] > before:
                self.assertEqual(one["leader_id"], 0, one)
            return one and one["leader_id"] == 0
        wait_until(knows_none, "the lonely node no longer names a leader")
        cluster.nodes[leader].start()
        cluster.nodes[others[0]].start()
        cluster.wait_until_equal()

    def test_a_follower_that_was_away_catches_up_while_appends_go_on(self):
        """S25, with segments of which some are recycled in the meantime on the others."""
        cluster = self.cluster()
        load = self.load(cluster, "busy", window=64, rate=3000, entry_bytes=500)
        load.wait_for(500)
        follower = cluster.follower()
        cluster.nodes[follower].kill()
        load.wait_for(10_000, timeout_s=60)
        behind = cluster.group_status()[cluster.wait_for_leader()]["commit_index"]
        cluster.nodes[follower].start()

        def caught_up():
            one = cluster.group_status().get(follower)
            return one and one["commit_index"] >= behind
        wait_until(caught_up, f"node {follower} has index {behind}", 30)
        self.assertTrue(load.is_alive() and not load.error, "appends went on meanwhile")
        load.wait_for(500)
        self.check(cluster)

    def test_a_stopped_follower_catches_up_too(self):
        cluster = self.cluster()
        load = self.load(cluster, "busy", rate=2000)
        load.wait_for(200)
        follower = cluster.follower()
        cluster.nodes[follower].pause()
        load.wait_for(4000)
        cluster.nodes[follower].resume()
        self.check(cluster)

    def test_without_a_majority_nothing_is_acknowledged_and_with_it_everything_goes_on(self):
        cluster = self.cluster()
        pipe = cluster.pipe()
        self.append_ok(pipe, "before")
        leader = cluster.wait_for_leader()
        others = [i for i in cluster.nodes if i != leader]
        for i in others:
            cluster.nodes[i].kill()
        answer = self.append(pipe, "during", timeout_ms=1500)
        self.assertFalse(answer["ok"], answer)
        self.assertIn(answer["error"], ("unknown", "refused"))
        read = cluster.control.read(node=leader, **{"from": 1})
        self.assertNotIn("during", [e.get("data") for e in read["entries"]], "S50: not committed")
        for i in others:
            cluster.nodes[i].start()
        self.append_ok(pipe, "after", timeout_ms=20_000)
        self.check(cluster)

    def test_a_failed_leader_is_replaced_within_seconds(self):
        cluster = self.cluster()
        pipe = cluster.pipe()
        self.append_ok(pipe, "first", producer=1, sequence=1)
        leader = cluster.wait_for_leader()
        cluster.nodes[leader].kill()
        self.append_ok(pipe, "second", producer=1, sequence=2, timeout_ms=10_000)
        self.append_ok(pipe, "third")
        cluster.nodes[leader].start()
        self.check(cluster)


if __name__ == "__main__":
    unittest.main()
