"""The commands for people: append, read, status, bench, --config; and a clean end."""

import json
import os
import signal
import subprocess
import threading
import unittest

from harness.case import ProcessTest
from harness.env import BINARY, die_with_parent, free_port, seconds, wait_until


class CommandTest(ProcessTest):
    def setUp(self):
        super().setUp()
        self.nodes = self.cluster(groups=2)
        self.addresses = ",".join(self.nodes.addresses())
        self.nodes.wait_for_leader(0)
        self.nodes.wait_for_leader(1)

    def test_append_and_read_back(self):
        lines = [f"line {i} " + "x" * (i % 300) for i in range(20_000)]
        path = os.path.join(self.directory, "lines")
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        done = self.sluice("append", "--cluster", self.addresses, path, check=0)
        self.assertIn(b"20000", done.stdout)
        last = self.nodes.wait_until_equal()[0]
        self.assertIn(str(last).encode(), done.stdout)
        done = self.sluice("append", "--cluster", self.addresses, "--group", 1,
                           stdin=b"without a newline at the end", check=0)
        raw = self.sluice("read", "--cluster", self.addresses, check=0).stdout.decode()
        self.assertEqual(raw.splitlines(), lines)
        raw = self.sluice("read", "--cluster", self.addresses, "--group", 1, check=0).stdout
        self.assertEqual(raw, b"without a newline at the end\n")

    def test_read_from_count_and_json(self):
        self.sluice("append", "--cluster", self.addresses,
                    stdin="".join(f"e{i}\n" for i in range(100)).encode(), check=0)
        everything = [json.loads(line) for line in self.sluice(
            "read", "--cluster", self.addresses, "--format", "json", check=0).stdout.splitlines()]
        self.assertEqual([e["data"] for e in everything], [f"e{i}" for i in range(100)])
        self.assertFalse([e for e in everything if e.get("internal")], "internal ones are left out")
        start = everything[50]["index"]
        some = [json.loads(line) for line in self.sluice(
            "read", "--cluster", self.addresses, "--format", "json", "--from", start, "--count", 7,
            check=0).stdout.splitlines()]
        self.assertEqual(some, everything[50:57])
        self.assertEqual(self.sluice("read", "--cluster", self.addresses, "--from",
                                     everything[-1]["index"] + 1, check=0).stdout, b"")

    def test_follow_shows_new_entries_as_they_commit(self):
        self.sluice("append", "--cluster", self.addresses, stdin=b"old\n", check=0)
        follower = subprocess.Popen([BINARY, "read", "--cluster", self.addresses, "--follow"],
                                    stdout=subprocess.PIPE, preexec_fn=die_with_parent)
        lines = []
        reader = threading.Thread(
            target=lambda: [lines.append(line) for line in iter(follower.stdout.readline, b"")],
            daemon=True)
        reader.start()
        try:
            wait_until(lambda: lines == [b"old\n"], "the old entry is shown")
            for i in range(3):
                self.sluice("append", "--cluster", self.addresses, stdin=f"new {i}\n".encode(), check=0)
                wait_until(lambda: lines[-1] == f"new {i}\n".encode(), f"new {i} is shown: {lines}")
            leader = self.nodes.wait_for_leader()
            self.nodes.nodes[leader].kill()
            self.sluice("append", "--cluster", self.addresses, "--timeout-ms", 15_000,
                        stdin=b"after a leader change\n", check=0)
            wait_until(lambda: lines[-1] == b"after a leader change\n", f"it goes on: {lines}")
            self.assertEqual(lines, [b"old\n", b"new 0\n", b"new 1\n", b"new 2\n",
                                     b"after a leader change\n"])
        finally:
            follower.send_signal(signal.SIGTERM)
            follower.wait(seconds(10))
            reader.join(5)
            follower.stdout.close()

    def test_append_without_a_cluster_reports_each_line_and_fails(self):
        done = self.sluice("append", "--cluster", f"127.0.0.1:{free_port()}", "--timeout-ms", 1000,
                           stdin=b"one\ntwo\n", check=1)
        self.assertIn(b"line 1", done.stderr)
        self.assertIn(b"line 2", done.stderr)
        self.assertIn(b"0", done.stdout)

    def test_read_and_status_without_a_cluster_fail_with_one_line(self):
        for command in (["read"], ["status"]):
            done = self.sluice(*command, "--cluster", f"127.0.0.1:{free_port()}", "--timeout-ms", 1000,
                               check=1)
            self.assert_one_clear_line(done.stderr)

    def test_append_survives_a_leader_change(self):
        lines = "".join(f"l{i}\n" for i in range(30_000)).encode()
        append = subprocess.Popen(
            [BINARY, "append", "--cluster", self.addresses, "--timeout-ms", "20000"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=die_with_parent)
        out = []
        talker = threading.Thread(target=lambda: out.append(append.communicate(lines)), daemon=True)
        talker.start()
        leader = self.nodes.wait_for_leader()
        self.nodes.nodes[leader].kill()
        talker.join(seconds(60))
        self.assertFalse(talker.is_alive())
        self.assertEqual(append.returncode, 0, out)
        self.nodes.nodes[leader].start()
        entries = self.nodes.logs()[0]
        self.assertEqual(entries[1], entries[2])
        self.assertEqual([e["data"] for e in entries[1] if not e.get("internal")],
                         [f"l{i}" for i in range(30_000)], "each once and in order")


class ConfigTest(ProcessTest):
    def test_every_option_may_stand_in_a_file(self):
        cluster = self.cluster(start=False)
        for node in cluster.nodes.values():
            lines = []
            for name, value in node.options.items():
                value = True if value is None else value
                lines.append(f"{name} = {json.dumps(value)}")
            path = os.path.join(self.directory, f"node{node.id}.toml")
            with open(path, "w") as file:
                file.write("# a node\n" + "\n".join(lines) + "\n")
            node.options = {"config": path}
        cluster.start()
        path = os.path.join(self.directory, "client.toml")
        with open(path, "w") as file:
            file.write(f"cluster = {json.dumps(cluster.addresses())}\ngroup = 0\n")
        cluster.wait_for_leader()
        self.sluice("append", "--config", path, stdin=b"configured\n", check=0)
        self.assertEqual(self.sluice("read", "--config", path, check=0).stdout, b"configured\n")

    def test_a_file_with_mistakes_is_bad_usage(self):
        path = os.path.join(self.directory, "bad.toml")
        for text in ("no-such-option = 1\n", "node-id = \n", "node-id = \"x\"\n"):
            with open(path, "w") as file:
                file.write(text)
            done = self.sluice("serve", "--config", path, check=2)
            self.assertIn("bad.toml", self.assert_one_clear_line(done.stderr))
        done = self.sluice("serve", "--config", "/nonexistent.toml", check=2)
        self.assert_one_clear_line(done.stderr)


class StopTest(ProcessTest):
    def test_sigterm_and_sigint_end_a_node_cleanly(self):
        cluster = self.cluster()
        self.append_ok(cluster.pipe(), "x")
        for number in (signal.SIGTERM, signal.SIGINT):
            for node in cluster.nodes.values():
                self.assertEqual(node.stop(number), 0, node.log())
            for node in cluster.nodes.values():
                node.start()
        self.check(cluster)

    def test_under_load_and_one_after_the_other(self):
        """A rolling restart: nothing is lost, and every stop is a clean one."""
        cluster = self.cluster()
        loads = [self.load(cluster, "plain", rate=1000),
                 self.load(cluster, "producer", producer=7, rate=1000)]
        for node in [*cluster.nodes.values()] * 2:
            for load in loads:
                load.wait_for(100)
            self.assertEqual(node.stop(), 0, node.log())
            node.start()
        self.check(cluster)


class BenchTest(ProcessTest):
    def test_the_embedded_cluster_measures_and_verifies(self):
        directory = os.path.join(self.directory, "bench")
        done = self.sluice("bench", "--seconds", 2, "--entry-bytes", 100, "--outstanding", 64, "--json",
                           "--data-dir", directory, timeout_s=90, check=0)
        report = json.loads(done.stdout)
        for key in ("entries_per_s", "bytes_per_s", "latency_ms", "flushes_per_s",
                    "entries_per_flush", "cpu_us_per_entry", "client_cpu_us_per_entry", "durable",
                    "verified"):
            self.assertIn(key, report)
        self.assertEqual(set(report["latency_ms"]) & {"p50", "p90", "p99", "p999", "max"},
                         {"p50", "p90", "p99", "p999", "max"})
        self.assertIs(report["verified"], True)
        self.assertGreater(report["entries_per_s"], 0)


if __name__ == "__main__":
    unittest.main()
