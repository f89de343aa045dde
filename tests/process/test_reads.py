"""The contract of `read` and `status`."""

import base64
import json
import time
import unittest

from harness.case import ProcessTest
from harness.env import wait_until

STATUS_FIELDS = {"group", "role", "term", "leader_id", "first_index", "last_index", "durable_index",
                 "commit_index"}


class ReadTest(ProcessTest):
    def test_what_was_appended_reads_back_from_every_node(self):
        cluster = self.cluster()
        pipe = cluster.pipe()
        texts = ["plain", "", "two\nlines", "tab\tquote\"backslash\\", "gr\u00fc\u00dfe \u4e16\u754c \U0001f600", "x" * 100_000, "nul\x00"]
        for text in texts:
            self.append_ok(pipe, text)
        blobs = [b"\xff\xfe", bytes(range(256)), b"\x00" * 1000 + b"\x80"]
        for blob in blobs:
            answer = pipe.ask({"op": "append", "data_base64": base64.b64encode(blob).decode()})
            self.assertTrue(answer["ok"], answer)
        logs = cluster.logs()[0]
        self.assertEqual(logs[1], logs[2])
        self.assertEqual(logs[1], logs[3])
        entries = [e for e in logs[1] if not e.get("internal")]
        self.assertEqual([e["data"] for e in entries[:len(texts)]], texts)
        self.assertEqual([base64.b64decode(e["data_base64"]) for e in entries[len(texts):]], blobs)
        for entry in logs[1]:
            self.assertEqual(set(entry) - {"data", "data_base64", "internal"}, {"index", "term"})

    def test_every_index_up_to_the_commit_index_answers_and_above_it_nothing(self):
        cluster = self.cluster()
        pipe = cluster.pipe()
        for i in range(40):
            self.append_ok(pipe, f"e{i}")
        commit = cluster.wait_until_equal()[0]
        for node in cluster.nodes:
            for start in range(1, commit + 1):
                answer = pipe.read(node=node, **{"from": start}, count=1)
                self.assertTrue(answer["ok"], answer)
                self.assertEqual([e["index"] for e in answer["entries"]], [start])
                self.assertGreaterEqual(answer["commit_index"], start)
            answer = pipe.read(node=node, **{"from": 1}, count=7)
            self.assertEqual([e["index"] for e in answer["entries"]], list(range(1, 8)))
            for above in (commit + 1, commit + 1000, 2**63, 2**64 - 1):
                answer = pipe.read(node=node, **{"from": above}, count=5)
                self.assertTrue(answer["ok"], answer)
                self.assertEqual((answer["entries"], answer["commit_index"]), ([], commit))

    def test_a_group_that_does_not_exist_is_refused(self):
        cluster = self.cluster(groups=2)
        pipe = cluster.pipe()
        self.append_ok(pipe, "in the last group", 1)
        for group in (2, 1000, 2**32 - 1):
            answer = self.append(pipe, f"in group {group}", group)
            self.assertEqual((answer["ok"], answer["error"], answer["code"]),
                             (False, "refused", "unknown_group"))
            answer = pipe.read(group=group, **{"from": 1})
            self.assertEqual((answer["ok"], answer["error"]), (False, "unknown_group"))

    def test_an_unreachable_node_is_called_that(self):
        cluster = self.cluster()
        pipe = cluster.pipe()
        self.append_ok(pipe, "one")
        follower = cluster.follower()
        cluster.nodes[follower].kill()
        answer = pipe.read(node=follower, **{"from": 1}, timeout_ms=2000)
        self.assertEqual((answer["ok"], answer["error"]), (False, "unreachable"))
        answer = self.append(pipe, "two", node=follower, timeout_ms=2000)
        self.assertEqual((answer["ok"], answer["error"], answer["code"]),
                         (False, "refused", "unreachable"))
        answer = pipe.status(follower)
        self.assertEqual((answer["ok"], answer["reachable"], answer["node_id"]),
                         (True, False, follower))
        cluster.nodes[follower].start()
        self.check(cluster)

    def test_an_append_to_a_follower_is_not_redirected(self):
        cluster = self.cluster()
        pipe = cluster.pipe()
        self.append_ok(pipe, "one")
        leader = cluster.wait_for_leader()
        for node in cluster.nodes:
            answer = self.append(pipe, f"to {node}", node=node)
            if node == leader:
                self.assertTrue(answer["ok"], answer)
            else:
                self.assertEqual((answer["ok"], answer["error"], answer["leader_id"]),
                                 (False, "not_leader", leader))
        self.check(cluster)

    def test_below_the_first_index_is_trimmed(self):
        cluster = self.cluster()
        pipe = cluster.pipe()
        for i in range(50):
            self.append_ok(pipe, f"e{i}")
        cluster.wait_until_equal()
        self.sluice("trim", "--cluster", ",".join(cluster.addresses()), "--first", 20, check=0)

        def trimmed_everywhere():
            return all(s["first_index"] > 1 for s in cluster.group_status().values())
        wait_until(trimmed_everywhere, "every node gave up the beginning")
        for node, status in cluster.group_status().items():
            first = status["first_index"]
            self.assertLessEqual(first, 20, "never more than was asked for")
            answer = pipe.read(node=node, **{"from": first - 1})
            self.assertEqual((answer["ok"], answer["error"], answer["first_index"]),
                             (False, "trimmed", first))
            answer = pipe.read(node=node, **{"from": first}, count=1)
            self.assertEqual(answer["entries"][0]["index"], first)
        for node in cluster.nodes.values():  # and it stays so
            node.kill()
            node.start()
        for status in cluster.group_status().values():
            self.assertGreater(status["first_index"], 1)
        self.append_ok(pipe, "after", timeout_ms=15_000)

    def test_s50_reads_without_a_node_never_go_back(self):
        cluster = self.cluster()
        load = self.load(cluster, "moving", rate=1000)
        load.wait_for(50)
        pipe = cluster.pipe()
        highest = 0
        end = time.monotonic() + 4
        killed = None
        while time.monotonic() < end:
            if killed is None and time.monotonic() > end - 3:
                killed = cluster.wait_for_leader()
                cluster.nodes[killed].kill()
            answer = pipe.read(**{"from": max(1, highest)}, count=50, timeout_ms=10_000)
            self.assertTrue(answer["ok"], answer)
            self.assertGreaterEqual(answer["commit_index"], highest, "went back")
            self.history.saw(0, 0, answer["entries"])
            highest = answer["commit_index"]
        cluster.nodes[killed].start()
        self.check(cluster)


class StatusTest(ProcessTest):
    def test_it_has_the_fields_of_the_contract(self):
        cluster = self.cluster(groups=3)
        pipe = cluster.pipe()
        for group in range(3):
            self.append_ok(pipe, "x", group, timeout_ms=15_000)
        commit = cluster.wait_until_equal((0, 1, 2))
        for node in cluster.nodes:
            status = pipe.status(node)
            self.assertEqual((status["ok"], status["reachable"], status["node_id"]),
                             (True, True, node))
            self.assertEqual([g["group"] for g in status["groups"]], [0, 1, 2])
            for one in status["groups"]:
                self.assertLessEqual(STATUS_FIELDS, set(one))
                self.assertEqual(one["commit_index"], commit[one["group"]])
                self.assertEqual(one["first_index"], 1)
                self.assertEqual(one["role"] == "leader", one["leader_id"] == node)
                self.assertLessEqual(one["durable_index"], one["last_index"])
                if one["role"] == "leader":
                    self.assertEqual(one["durable_index"], one["last_index"])
                self.assertGreaterEqual(one["term"], 1)

    def test_the_command_says_the_same_as_the_pipe(self):
        cluster = self.cluster()
        self.append_ok(cluster.pipe(), "x")
        cluster.wait_until_equal()
        cluster.nodes[3].kill()
        cluster.wait_for_leader()
        done = self.sluice("status", "--json", "--cluster", ",".join(cluster.addresses()), check=0)
        nodes = json.loads(done.stdout)
        self.assertEqual([n["reachable"] for n in nodes], [True, True, False])
        for node in nodes[:2]:
            pipe_says = cluster.control.status(node["node_id"])
            self.assertLessEqual(set(node), set(pipe_says))
            self.assertEqual(node["groups"][0]["commit_index"], pipe_says["groups"][0]["commit_index"])
        text = self.sluice("status", "--cluster", ",".join(cluster.addresses()), check=0).stdout
        self.assertIn(b"leader", text)


if __name__ == "__main__":
    unittest.main()
