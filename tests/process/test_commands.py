"""The commands for people: append, read, status, bench, --config; and a clean end."""

import json
import os
import signal
import subprocess
import threading
import unittest
import xml.etree.ElementTree

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
    SMALL = ("--segment-bytes", "1MiB", "--batch-bytes-max", "64KiB", "--entry-bytes", 100,
             "--outstanding", 64)

    def bench(self, *options, check=0):
        directory = os.path.join(self.directory, "bench")
        return self.sluice("bench", "--data-dir", directory, *self.SMALL, *options, timeout_s=120,
                           check=check)

    def test_the_embedded_cluster_measures_and_verifies(self):
        plot = os.path.join(self.directory, "latency.svg")
        done = self.bench("--seconds", 2, "--json", "--plot", plot)
        report = json.loads(done.stdout)
        for key in ("entries_per_s", "bytes_per_s", "latency_ms", "flushes_per_s",
                    "entries_per_flush", "cpu_us_per_entry", "client_cpu_us_per_entry", "durable",
                    "verified", "latency_curve", "stages", "warm_up", "mode"):
            self.assertIn(key, report)
        self.assertEqual(set(report["latency_ms"]), {"p50", "p90", "p99", "p999", "p9999", "max"})
        self.assertIs(report["verified"], True)
        self.assertGreater(report["entries_per_s"], 0)
        self.assertEqual(report["mode"], "closed")
        self.assertIsInstance(report["recycled"], bool)
        self.assertIn("recycled", report["warm_up"])
        for stage in ("queue_ms", "disk_ms", "follower_ms", "commit_ms", "reply_ms"):
            self.assertGreater(report["stages"][stage]["count"], 0, stage)
        for sizes in ("chunk_entries", "chunk_bytes"):
            stage = report["stages"][sizes]
            self.assertEqual(sum(b["count"] for b in stage["buckets"]), stage["count"])
        self.assertEqual(report["stages"]["chunk_bytes"]["p50"] % 4096, 0)
        curve = report["latency_curve"]
        self.assertEqual(curve[-1]["ms"], report["latency_ms"]["max"])
        self.assertEqual([p["ms"] for p in curve], sorted(p["ms"] for p in curve))
        self.assertEqual(xml.etree.ElementTree.parse(plot).getroot().tag,
                         "{http://www.w3.org/2000/svg}svg")

    def test_the_load_runs_in_the_process_of_the_leader(self):
        report = json.loads(self.bench("--seconds", 1, "--warmup-seconds", 0.2, "--groups", 2,
                                       "--in-process", "--json").stdout)
        self.assertEqual(report["options"]["client"], "in-process")
        self.assertIs(report["verified"], True)
        self.assertGreater(report["entries_per_s"], 0)
        self.assertGreater(report["stages"]["commit_ms"]["count"], 0)
        done = self.bench("--in-process", "--shards", 2, check=2)
        self.assertIn("--shards 1", self.assert_one_clear_line(done.stderr))

    def test_an_earlier_run_is_compared(self):
        first = self.bench("--seconds", 0.3, "--warmup-seconds", 0.1, "--json")
        path = os.path.join(self.directory, "old.json")
        with open(path, "wb") as file:
            file.write(first.stdout)
        second = self.bench("--seconds", 0.3, "--warmup-seconds", 0.1, "--rate", 500, "--compare",
                            path)
        self.assertIn(b"open loop", second.stdout)
        self.assertIn(b"ratio", second.stdout)
        self.assertIn(b"not measured alike: rate", second.stdout)
        third = self.bench("--seconds", 0.3, "--warmup-seconds", 0.1, "--json", "--compare", path)
        compared = json.loads(third.stdout)["compared"]["entries/s"]
        self.assertAlmostEqual(compared["ratio"], compared["now"] / compared["before"])
        with open(path, "w") as file:
            file.write("{}")
        done = self.bench("--seconds", 0.3, "--compare", path, check=2)
        self.assertIn("old.json", self.assert_one_clear_line(done.stderr))

    def test_the_status_of_a_node_has_the_stages(self):
        cluster = self.cluster()
        self.append_ok(cluster.pipe(), "x")
        nodes = json.loads(self.sluice("status", "--json", "--cluster",
                                       ",".join(cluster.addresses()), check=0).stdout)
        leaders = [n for n in nodes if n["stages"]["commit_ms"] is not None]
        self.assertEqual(len(leaders), 1, "only the leader has committed for a client")
        for stage in ("queue_ms", "disk_ms", "follower_ms", "reply_ms", "chunk_bytes"):
            self.assertIsNotNone(leaders[0]["stages"][stage], stage)
        for node in nodes:
            self.assertIsNotNone(node["stages"]["disk_ms"], "each of them has written")


class TuneTest(ProcessTest):
    def tune(self, *options, check=0):
        return self.sluice("tune", "--data-dir", os.path.join(self.directory, "tune"), *options,
                           timeout_s=180, check=check)

    def test_it_writes_a_file_that_serve_and_bench_take(self):
        out = os.path.join(self.directory, "sluice.toml")
        done = self.tune("--seconds", 8, "--out", out, "--nodes", 1, "--json")
        report = json.loads(done.stdout)
        self.assertGreater(len(report["points"]), 0)
        self.assertEqual(report["chosen"]["fsync"], "always")
        self.assertIn(report["chosen"], report["points"])
        self.assertEqual(len(report["disk"]["writes"]), 15)
        plot = os.path.join(self.directory, "sluice.svg")
        self.assertEqual(xml.etree.ElementTree.parse(plot).getroot().tag,
                         "{http://www.w3.org/2000/svg}svg")
        self.assertEqual(os.listdir(os.path.join(self.directory, "tune")), [], "nothing is left")

        done = self.sluice("bench", "--config", out, "--data-dir",
                           os.path.join(self.directory, "bench"), "--seconds", 0.3,
                           "--warmup-seconds", 0.1, "--json", timeout_s=60, check=0)
        options = json.loads(done.stdout)["options"]
        for key in ("batch_bytes_max", "writes_inflight_max", "inflight_bytes_max", "outstanding",
                    "fsync"):
            self.assertEqual(options[key], report["chosen"][key], key)
        self.assertEqual(options["nodes"], 1)

        with open(out, "a") as file:
            file.write("\n[serve]\ngroups = 3\n")
        cluster = self.cluster(start=False)
        for node in cluster.nodes.values():
            node.options["config"] = out
            for option in ("groups", "segment-bytes"):
                node.options.pop(option, None)
        cluster.start()
        cluster.wait_for_leader(2)
        self.append_ok(cluster.pipe(), "x")

        done = self.tune("--seconds", 1, "--out", out, check=2)
        self.assertIn("--force", self.assert_one_clear_line(done.stderr))

    def test_an_interrupt_ends_it_with_what_it_has(self):
        out = os.path.join(self.directory, "cut.toml")
        tune = subprocess.Popen(
            [BINARY, "tune", "--data-dir", os.path.join(self.directory, "tune"), "--seconds", "600",
             "--nodes", "1", "--out", out],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent)
        seen = b""
        while b"entries/s" not in seen:  # the first point is measured
            line = tune.stderr.readline()
            self.assertTrue(line, seen)
            seen += line
        tune.send_signal(signal.SIGINT)
        stdout, stderr = tune.communicate(timeout=seconds(60))
        self.assertEqual(tune.returncode, 0, stderr)
        self.assertIn(b"the search was cut short", stdout)
        with open(out) as file:
            self.assertIn("cut short", file.read())
        self.assertEqual(os.listdir(os.path.join(self.directory, "tune")), [], "nothing is left")

    def test_mistakes_are_bad_usage(self):
        for options, named in ((("--p99", "fast"), "500us"), (("--p99", "5"), "500us"),
                               (("--p99", "5ms", "--throughput"), "choose one"),
                               (("--out", "x.svg"), "same file"), (("--seconds", 0), "--seconds")):
            done = self.tune(*options, check=2)
            self.assertIn(named, self.assert_one_clear_line(done.stderr))


if __name__ == "__main__":
    unittest.main()
