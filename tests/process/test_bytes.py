"""A batch is sealed once: the same bytes on the leader's disk, on the wire and on every follower's
disk."""

import glob
import os
import socket
import struct
import unittest

from harness.case import ProcessTest
from harness.env import seconds
from harness.frames import example

GROUP = 3  # of the examples


def receive_frame(connection):
    data = b""
    while len(data) < 24 or len(data) < struct.unpack_from("<I", data, 8)[0]:
        more = connection.recv(1 << 20)
        assert more, "the node closed the connection"
        data += more
    return data


class BytesTest(ProcessTest):
    def wire_batches(self, node):
        """The batches of a read reply, as the node sends them."""
        with socket.create_connection(("127.0.0.1", node.port), timeout=seconds(5)) as connection:
            connection.sendall(example("hello"))
            receive_frame(connection)
            connection.sendall(example("read"))  # group 3 from index 5
            frame = receive_frame(connection)
        assert frame[5] == 7, "a ClientReadReply"
        batches = frame[24 + struct.unpack_from("<I", frame, 12)[0]:]
        found = []
        while batches:
            size = struct.unpack_from("<I", batches, 88)[0]
            found.append(batches[:size])
            batches = batches[size:]
        return found

    def on_disk(self, node):
        data = b""
        for path in glob.glob(os.path.join(node.directory, "**", "*.segment"), recursive=True):
            with open(path, "rb") as file:
                data += file.read()
        return data

    def test_disk_wire_and_disk_of_the_others_are_equal(self):
        cluster = self.cluster(groups=GROUP + 1)
        pipe = cluster.pipe()
        for i in range(20):
            self.append_ok(pipe, f"sealed once {i}", GROUP, timeout_ms=15_000)
        cluster.wait_until_equal((GROUP,))
        of_leader = self.wire_batches(cluster.nodes[cluster.wait_for_leader(GROUP)])
        self.assertGreater(len(of_leader), 3)
        self.assertTrue(all(batch[:4] == b"SLUB" for batch in of_leader))
        for node in cluster.nodes.values():
            self.assertEqual(self.wire_batches(node), of_leader, f"node {node.id} on the wire")
        # What a segment holds it holds once; O_DIRECT writes are in the file when they completed.
        for node in cluster.nodes.values():
            disk = self.on_disk(node)
            for batch in of_leader:
                self.assertEqual(disk.count(batch), 1, f"node {node.id} on disk: {batch[:96].hex()}")
        self.check(cluster, (GROUP,))


if __name__ == "__main__":
    unittest.main()
