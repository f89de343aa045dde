"""Bad input gets a clear error and loses nothing."""

import os
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest

from harness.case import ProcessTest
from harness.env import BINARY, free_port, seconds, wait_until
from harness.frames import example


class UsageTest(ProcessTest):
    """Exit status 2 and one line for bad usage, 1 for failure."""

    def serve_arguments(self, **changes):
        options = {"node-id": 1, "cluster-id": "demo", "data-dir": os.path.join(self.directory, "d"),
                   "listen": f"127.0.0.1:{free_port()}", "peer": None}
        options.update({k.replace("_", "-"): v for k, v in changes.items()})
        options["peer"] = options["peer"] or [f"1={options['listen']}"]
        arguments = []
        for name, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                arguments += [f"--{name}", one]
        return arguments

    def refused(self, *arguments, status):
        done = self.sluice(*arguments, timeout_s=15)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stderr.decode()}")
        return self.assert_one_clear_line(done.stderr)

    def test_every_command_has_help(self):
        for command in ("serve", "append", "read", "status", "pipe", "bench", "tune", "inspect"):
            done = self.sluice(command, "--help", check=0)
            self.assertIn(b"--", done.stdout)
            self.assertEqual(done.stderr, b"")

    def test_an_unknown_option_or_command_is_bad_usage(self):
        for command in ("serve", "append", "read", "status", "pipe", "bench", "tune", "inspect"):
            self.assertIn("--no-such-option",
                          self.refused(command, "--no-such-option", status=2))
        self.refused("no-such-command", status=2)
        self.refused(status=2)

    def test_missing_and_malformed_options_are_bad_usage(self):
        self.refused("serve", status=2)
        self.refused("append", status=2)
        for changes in ({"node_id": "0"}, {"node_id": "one"}, {"cluster_id": ""},
                        {"listen": "nonsense", "peer": ["1=127.0.0.1:1"]}, {"peer": ["nonsense"]}):
            self.refused("serve", *self.serve_arguments(**changes), status=2)
        for option in (["--groups", "0"], ["--shards", "1000"], ["--fsync", "sometimes"],
                       ["--fsync", "interval=tomorrow"], ["--batch-bytes-max", "7"]):
            self.refused("serve", *self.serve_arguments(), *option, status=2)

    def test_a_peer_list_without_the_own_id_is_bad_usage(self):
        line = self.refused("serve", *self.serve_arguments(
            peer=["2=127.0.0.1:1", "3=127.0.0.1:2"]), status=2)
        self.assertIn("peer", line)

    def test_a_port_in_use_is_a_failure(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            listen = "127.0.0.1:%d" % holder.getsockname()[1]
            line = self.refused("serve", *self.serve_arguments(listen=listen), status=1)
            self.assertIn(listen.split(":")[1], line)

    def test_a_directory_without_rights_is_a_failure(self):
        # Not below the build directory: somebody else may have no way there.
        place = tempfile.mkdtemp(prefix="sluice-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, place)
        os.chmod(place, 0o755)
        locked = os.path.join(place, "locked")
        os.mkdir(locked, 0o555)
        arguments = self.serve_arguments(data_dir=os.path.join(locked, "data"))
        if os.geteuid() == 0:  # root has all rights: be somebody else
            binary = os.path.join(place, "sluice")
            shutil.copy(BINARY, binary)
            os.chmod(binary, 0o755)
            done = subprocess.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, "serve",
                 *map(str, arguments)], capture_output=True, timeout=seconds(15))
        else:
            done = self.sluice("serve", *arguments)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("locked", self.assert_one_clear_line(done.stderr))

    def test_a_directory_that_is_a_file_is_a_failure(self):
        path = os.path.join(self.directory, "file")
        with open(path, "w") as file:
            file.write("x")
        self.refused("serve", *self.serve_arguments(data_dir=path), status=1)
        with open(path) as file:
            self.assertEqual(file.read(), "x")

    def test_a_directory_with_something_else_in_it_keeps_it(self):
        """S41: whatever the node says to it, it deletes nothing that is not its own."""
        path = os.path.join(self.directory, "d")
        os.mkdir(path)
        with open(os.path.join(path, "thesis.txt"), "w") as file:
            file.write("years of work")
        cluster = self.cluster(size=1, start=False)
        node = cluster.nodes[1]
        node.options["data-dir"] = path
        node.spawn()
        try:
            wait_until(lambda: not node.running() or node.ready(), "it decides", 10)
        except AssertionError:
            pass
        with open(os.path.join(path, "thesis.txt")) as file:
            self.assertEqual(file.read(), "years of work")

    def test_a_directory_in_use_is_refused(self):
        cluster = self.cluster()
        self.append_ok(cluster.pipe(), "x")
        taken = cluster.nodes[1].options
        line = self.refused("serve", *self.serve_arguments(data_dir=taken["data-dir"]), status=1)
        self.assertIn(taken["data-dir"], line)
        self.refused("inspect", taken["data-dir"], status=1)
        self.check(cluster)  # the node that has it did not notice

    def test_a_directory_of_another_node_or_cluster_is_refused(self):
        cluster = self.cluster()
        self.append_ok(cluster.pipe(), "x")
        cluster.wait_until_equal()
        node = cluster.nodes[1]
        self.assertEqual(node.stop(), 0)
        peers = ["1=127.0.0.1:1", f"2=127.0.0.1:{free_port()}"]
        for changes in ({"node_id": 2, "listen": peers[1][2:], "peer": peers},
                        {"cluster_id": "other"}):
            self.refused("serve", *self.serve_arguments(data_dir=node.directory, **changes), status=1)
        node.start()
        self.check(cluster)


class BadAppendTest(ProcessTest):
    def test_an_entry_above_the_size_limit_is_refused_too_large(self):
        cluster = self.cluster(batch_bytes_max=64 << 10)
        pipe = cluster.pipe()
        self.append_ok(pipe, "before")
        for size in (64 << 10, 100_000, 900_000, 3_000_000):
            answer = self.append(pipe, "L" * size)
            self.assertEqual((answer["ok"], answer["error"], answer["code"]),
                             (False, "refused", "too_large"), size)
        self.append_ok(pipe, "M" * 60_000)
        self.append_ok(pipe, "after")
        self.check(cluster)

    def test_too_large_for_the_command_too_and_the_other_lines_land(self):
        cluster = self.cluster(batch_bytes_max=64 << 10)
        lines = ["one", "L" * 100_000, "three"]
        for text in lines:
            self.history.submit(0, text)
        done = self.sluice("append", "--cluster", ",".join(cluster.addresses()),
                           stdin="\n".join(lines).encode(), check=1)
        self.assertIn(b"line 2", done.stderr)
        self.assertIn(b"too_large", done.stderr)
        self.assertIn(b"2", done.stdout)
        logs = self.check(cluster)
        self.assertEqual([e["data"] for e in logs[0][1] if not e.get("internal")], ["one", "three"])

    def test_lines_that_are_no_requests_are_answered_and_the_pipe_lives(self):
        cluster = self.cluster()
        pipe = cluster.pipe()
        bad = ["not json", "[]", "7", '{"id":"a"}', '{"id":"b","op":"destroy"}',
               '{"id":"c","op":"append"}', '{"id":"d","op":"append","data":7}',
               '{"id":"e","op":"append","data":"x","group":-1}',
               '{"id":"f","op":"append","data_base64":"***"}',
               '{"id":"g","op":"append","data":"x","producer":1}',
               '{"id":"h","op":"read","from":"one"}', '{"id":"i","op":"status"}']
        for line in bad:
            pipe.process.stdin.write(line.encode() + b"\n")
        pipe.process.stdin.flush()
        wait_until(lambda: len(pipe.strays) == len(bad), f"{len(bad)} answers: {pipe.strays}")
        for answer in pipe.strays:
            self.assertFalse(answer["ok"], answer)
            self.assertTrue(answer.get("message") and answer.get("error"), answer)
        self.assertEqual([a["id"] for a in pipe.strays][3:], list("abcdefghi"))
        self.append_ok(pipe, "still alive")
        self.assertEqual(pipe.close(), 0)
        self.check(cluster)


class GarbageTest(ProcessTest):
    """S44, S45, S59, S60 at a real port: the connection closes, the node lives."""

    def setUp(self):
        super().setUp()
        self.nodes = self.cluster(groups=4)
        self.pipe = self.nodes.pipe()
        self.append_ok(self.pipe, "before", timeout_ms=15_000)
        self.hello = example("hello")

    def connect(self, node=1):
        connection = socket.create_connection(("127.0.0.1", self.nodes.nodes[node].port), timeout=5)
        self.addCleanup(connection.close)
        return connection

    def assert_closed(self, connection, what):
        """The other side ends the connection, whatever it says before."""
        connection.settimeout(seconds(15))
        try:
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass
        except socket.timeout:
            self.fail(f"the connection stays open after {what}")

    def send(self, connection, data):
        try:
            connection.sendall(data)
        except ConnectionError:
            pass

    def assert_alive(self):
        for node in self.nodes.nodes.values():
            self.assertTrue(node.running(), node.log())
        self.append_ok(self.pipe, f"alive {len(self.history.appends)}")
        for load in self.loads:
            load.finish()
        self.check(self.nodes)

    def hello_done(self, node=1):
        connection = self.connect(node)
        connection.sendall(self.hello)
        connection.settimeout(seconds(5))
        reply = b""
        while len(reply) < 24 or len(reply) < struct.unpack_from("<I", reply, 8)[0]:
            more = connection.recv(65536)
            self.assertTrue(more, "closed instead of a hello reply")
            reply += more
        self.assertEqual((reply[:4], reply[5]), (b"SLUF", 2))
        return connection

    def test_what_is_no_frame(self):
        for data in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x00" * 4096, b"\xff" * 4096,
                     b"SLUF" + b"\xff" * 100, self.random.randbytes(100_000)):
            for begin in (b"", self.hello):
                connection = self.connect(self.random.choice([1, 2, 3]))
                self.send(connection, begin + data)
                self.assert_closed(connection, data[:20])
        self.assert_alive()

    def test_each_byte_of_a_hello_changed(self):
        for at in range(len(self.hello)):
            changed = bytearray(self.hello)
            changed[at] ^= 1 << self.random.randrange(8)
            connection = self.connect()
            self.send(connection, bytes(changed))
            # A size that grew waits for more bytes: this is what the closing of our side answers.
            connection.shutdown(socket.SHUT_WR)
            self.assert_closed(connection, f"byte {at} changed")
        self.assert_alive()

    def test_s44_an_absurd_size_is_refused_at_once(self):
        before = self.nodes.nodes[1].rss_bytes()
        for size in (0xFFFFFFF8, 0x80000000, 1 << 30):
            header = bytearray(self.hello[:24])
            struct.pack_into("<I", header, 8, size)
            connection = self.hello_done()
            self.send(connection, bytes(header))
            self.assert_closed(connection, f"a frame of {size} bytes")
        self.assertLess(self.nodes.nodes[1].rss_bytes() - before, 64 << 20)
        self.assert_alive()

    def test_frames_that_a_client_may_not_send(self):
        """A request before the hello, a second hello, answers, messages of peers."""
        read = example("read")
        connection = self.connect()
        self.send(connection, read)
        self.assert_closed(connection, "a request before the hello")
        reply = example("append-reply")
        connection = self.hello_done()
        self.send(connection, reply)
        self.assert_closed(connection, "an answer from a client")
        self.assert_alive()

    def test_an_append_whose_batch_is_damaged(self):
        """One bit of the batch, which the frame's checksum does not cover."""
        append, batch = example("append"), example("batch-unsealed")
        for at in (8, 20, 33, 41, 60, 66, 81, 84, 89, 93, 97, 101, 118):
            damaged = bytearray(batch)
            damaged[at] ^= 0x04
            for node in (1, 2, 3):  # one of them leads group 3
                connection = self.hello_done(node)
                self.send(connection, append + bytes(damaged))
                connection.shutdown(socket.SHUT_WR)
                self.assert_closed(connection, f"byte {at} of the batch changed")
        self.assert_alive()
        logs = self.nodes.logs((3,))[3]
        self.assertFalse([e for e in logs[1] if not e.get("internal")], "nothing of it landed")

    def test_the_example_of_the_documentation_works(self):
        """The bytes of wire/README.md, sent as they stand, are an append: so another language can."""
        leader = self.nodes.wait_for_leader(3)
        connection = self.hello_done(leader)
        connection.sendall(example("append") + example("batch-unsealed"))
        reply = connection.recv(65536)
        self.assertEqual((reply[:4], reply[5]), (b"SLUF", 5))
        code = struct.unpack_from("<H", reply, 0x5c)[0]
        self.assertEqual(code, 0, reply.hex())
        self.assertEqual(struct.unpack_from("<I", reply, 0x54)[0], 2, "both entries")
        logs = self.nodes.logs((3,))[3]
        self.assertEqual([e["data"] for e in logs[1] if not e.get("internal")], ["hello", "sluice"])

    def test_s60_many_connections_that_never_say_hello(self):
        silent = [self.connect(self.random.choice([1, 2, 3])) for _ in range(300)]
        for connection in silent[::3]:
            connection.sendall(self.hello[:self.random.randrange(1, 30)])
        self.append_ok(self.pipe, "with 300 silent neighbours")
        for connection in silent:
            connection.close()
        self.assert_alive()

    def test_s51_file_descriptors_run_out(self):
        """Connections are refused then; the log stays usable, and later so is the port."""
        leader = self.nodes.nodes[self.nodes.wait_for_leader()]
        in_use = len(os.listdir(f"/proc/{leader.process.pid}/fd"))
        resource.prlimit(leader.process.pid, resource.RLIMIT_NOFILE, (in_use + 20, in_use + 20))
        crowd = [self.connect(leader.id) for _ in range(60)]
        for i in range(300):  # more than a segment holds: files are opened meanwhile
            self.append_ok(self.pipe, f"with too many connections {i} ".ljust(60_000, "."),
                           timeout_ms=15_000)
        for connection in crowd:
            connection.close()
        newcomer = self.nodes.pipe()
        self.append_ok(newcomer, "a new client", timeout_ms=20_000)
        self.assert_alive()

    def test_under_load_and_from_many_sides(self):
        load = self.load(self.nodes, "good", rate=1000)
        load.wait_for(100)
        for _ in range(200):
            connection = self.connect(self.random.choice([1, 2, 3]))
            data = bytearray(self.hello + self.random.randbytes(self.random.randrange(500)))
            data[self.random.randrange(len(data))] ^= 0xff
            self.send(connection, bytes(data))
            connection.close()
        load.wait_for(100)
        self.assert_alive()


if __name__ == "__main__":
    unittest.main()
