"""`sluice inspect`, and what a node does with a directory that was tampered with."""

import glob
import json
import os
import unittest

from harness.case import ProcessTest
from harness.env import wait_until


def segments(node):
    return sorted(glob.glob(os.path.join(node.directory, "**", "*.segment"), recursive=True))


def find(node, needle):
    """The file and the place where the bytes lie, as the only ones."""
    places = []
    for path in segments(node):
        with open(path, "rb") as file:
            data = file.read()
        at = data.find(needle)
        if at >= 0:
            places.append((path, at))
    assert len(places) == 1, f"{needle}: {places}"
    return places[0]


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))
        file.flush()
        os.fsync(file.fileno())


class InspectTest(ProcessTest):
    def inspect(self, node, check=None):
        done = self.sluice("inspect", node.directory, "--json", check=check)
        return done.returncode, json.loads(done.stdout)

    def filled_cluster(self):
        cluster = self.cluster()
        pipe = cluster.pipe()
        for i in range(300):
            self.append_ok(pipe, f"entry-{i:04d}-".ljust(200, "."))
        cluster.wait_until_equal()
        return cluster

    def test_a_node_that_stopped_cleanly_is_sound(self):
        cluster = self.filled_cluster()
        for node in cluster.nodes.values():
            last = cluster.group_status()[node.id]["last_index"] if node.id == 1 else last
            self.assertEqual(node.stop(), 0)
        for node in cluster.nodes.values():
            _, report = self.inspect(node, check=0)
            shards = report["shards"]
            self.assertFalse(any(shard["damage"] for shard in shards), shards)
            group = shards[0]["groups"][0]
            self.assertEqual((group["group"], group["first_index"], group["last_index"]), (0, 1, last))
            text = self.sluice("inspect", node.directory, check=0).stdout.decode()
            self.assertIn(os.path.basename(segments(node)[-1]), text)

    def test_it_changes_nothing(self):
        cluster = self.filled_cluster()
        node = cluster.nodes[1]
        node.kill()

        def content():
            files = {}
            for path in glob.glob(os.path.join(node.directory, "**"), recursive=True):
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        files[path] = hash(file.read())
            return files
        before = content()
        self.inspect(node, check=0)
        self.assertEqual(content(), before)

    def test_killed_nodes_are_not_damaged(self):
        """Ten kills under load: a torn tail may be there, damage may not."""
        cluster = self.cluster()
        load = self.load(cluster, "load", window=128, rate=5000, entry_bytes=2000)
        torn = 0
        for i in range(10):
            load.wait_for(200)
            node = cluster.nodes[1 + i % 3]
            node.kill()
            _, report = self.inspect(node, check=0)
            torn += bool(report["torn_tail"])
            node.start()
        print(f"torn tails: {torn} of 10")
        self.check(cluster)

    def test_s26_a_torn_tail_is_called_that_and_the_node_starts(self):
        """A chunk that was being written when the power went: whatever stands behind the last whole
        one was never acknowledged."""
        cluster = self.filled_cluster()
        node = cluster.nodes[1]
        node.kill()
        _, report = self.inspect(node, check=0)
        live = [s for s in report["shards"][0]["segments"] if s["last_live_chunk"]][-1]
        path = next(p for p in segments(node) if p.endswith(live["file"]))
        with open(path, "r+b") as file:
            # The next chunk's first block as it was before in the file's life: a header that is
            # right in itself and does not belong here, with half of its records missing.
            file.seek(4096)
            block = file.read(4096)
            file.seek(live["used_bytes"])
            file.write(block[:2048] + self.random.randbytes(2048))
        _, report = self.inspect(node, check=0)
        self.assertIs(report["torn_tail"], True, report)
        node.start()
        self.check(cluster)

    def damage(self, needle):
        """Flips a bit in the entry and returns (cluster, node, report) of the stopped node."""
        cluster = self.filled_cluster()
        node = cluster.nodes[1]
        # An idle node writes a mark: what is in the chunks before it was known durable.
        wait_until(lambda: self.idle(cluster, node), "the node has nothing left to write")
        self.assertEqual(node.stop(), 0)
        path, at = find(node, needle)
        flip(path, at + 3)
        status, report = self.inspect(node)
        self.assertEqual(status, 1, report)
        self.assertTrue(any(shard["damage"] for shard in report["shards"]), report)
        return cluster, node

    def idle(self, cluster, node):
        written = cluster.control.status(node.id)["counters"]["bytes_written"]
        if written == getattr(self, "_written", None):
            self._still = getattr(self, "_still", 0) + 1
        else:
            self._written, self._still = written, 0
        return self._still > 20

    def serves_nothing_wrong(self, cluster, node):
        """S28: a damaged node either says so and stays down, or repairs itself from the others."""
        node.spawn()
        try:
            wait_until(lambda: not node.running() or cluster.group_status().get(node.id), "a verdict")
        except AssertionError:
            pass
        if not node.running():
            self.assertEqual(node.process.returncode, 1)
            last = node.log().strip().splitlines()[-1]
            self.assertIn("damage", last.lower() + "damage" * ("corrupt" in last.lower()), last)
            # The other two have everything and go on.
            pipe = cluster.pipe()
            self.append_ok(pipe, "with two", timeout_ms=15_000)
            survivors = {i for i in cluster.nodes if i != node.id}
            commit = max(s["commit_index"] for s in cluster.group_status().values())
            wait_until(lambda: all(s["commit_index"] >= commit
                                   for s in cluster.group_status().values()), "both have it")
            self.history.check({0: {i: cluster.read_all(i, 0, 1, commit) for i in survivors}})
        else:
            self.check(cluster)

    def test_s28_a_flipped_bit_in_the_middle_is_damage(self):
        cluster, node = self.damage(b"entry-0100-")
        self.serves_nothing_wrong(cluster, node)

    def test_s29_a_flipped_bit_in_the_last_entry_is_damage_once_a_mark_was_written(self):
        cluster, node = self.damage(b"entry-0299-")
        self.serves_nothing_wrong(cluster, node)

    def test_a_segment_that_is_missing_is_damage(self):
        cluster = self.cluster(segment_bytes=1 << 20, batch_bytes_max=64 << 10)
        load = self.load(cluster, "fill", window=64, rate=2000, entry_bytes=10_000)
        load.wait_for(500)
        load.finish()
        cluster.wait_until_equal()
        node = cluster.nodes[1]
        self.assertEqual(node.stop(), 0)
        _, report = self.inspect(node, check=0)
        live = [s["file"] for s in report["shards"][0]["segments"] if s["last_live_chunk"]]
        self.assertGreater(len(live), 3)
        os.unlink(next(p for p in segments(node) if p.endswith(live[1])))
        status, report = self.inspect(node)
        self.assertEqual(status, 1, report)
        self.serves_nothing_wrong(cluster, node)

    def test_what_is_no_data_directory_is_a_failure(self):
        for path in (self.directory, "/nonexistent"):
            done = self.sluice("inspect", path, check=1)
            self.assert_one_clear_line(done.stderr)


if __name__ == "__main__":
    unittest.main()
