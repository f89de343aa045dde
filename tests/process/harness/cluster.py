"""Nodes 1 to N with their directories, and what they say together."""

import os

from .env import free_port, wait_until
from .node import DEFAULT_OPTIONS, Node
from .pipe import Pipe

NAME = "demo"
READ_COUNT = 5000


class Cluster:
    def __init__(self, directory, size=3, name=NAME, **options):
        self.directory = directory
        self.name = name
        ports = {node_id: free_port() for node_id in range(1, size + 1)}
        self.peers = [f"{i}=127.0.0.1:{port}" for i, port in ports.items()]
        self.options = {**DEFAULT_OPTIONS, **{k.replace("_", "-"): v for k, v in options.items()}}
        self.nodes = {i: self._make_node(i, port) for i, port in ports.items()}
        self.pipes = []
        self._control = None

    def _make_node(self, node_id, port):
        data_dir = os.path.join(self.directory, f"node{node_id}")
        return Node(node_id, port, data_dir, data_dir + ".log", {
            "node-id": node_id,
            "cluster-id": self.name,
            "data-dir": data_dir,
            "listen": f"127.0.0.1:{port}",
            "peer": self.peers,
            **self.options,
        })

    def addresses(self):
        return [node.address for node in self.nodes.values()]

    def start(self):
        for node in self.nodes.values():
            node.spawn()
        for node in self.nodes.values():
            node.wait_until_ready()
        return self

    def pipe(self, *arguments):
        log_path = os.path.join(self.directory, "pipe.log")
        self.pipes.append(Pipe(self.addresses(), log_path, *arguments))
        return self.pipes[-1]

    @property
    def control(self):
        """A pipe of the harness's own, for status and reads."""
        if self._control is None:
            self._control = self.pipe()
        return self._control

    def close(self):
        for pipe in self.pipes:
            pipe.destroy()
        for node in self.nodes.values():
            if node.running():
                node.kill()

    def report(self):
        lines = []
        for node in self.nodes.values():
            state = "running" if node.running() else (
                "never started" if node.process is None else f"exit {node.process.returncode}")
            lines.append(f"=== node {node.id} ({state})\n{node.log()}")
        log_path = os.path.join(self.directory, "pipe.log")
        if os.path.exists(log_path):
            with open(log_path, errors="replace") as log:
                lines.append(f"=== pipes\n{log.read()[-3000:]}")
        return "\n".join(lines)

    # --- what the nodes say --------------------------------------------------------------------

    def statuses(self):
        """{node_id: {group: status}} of the nodes that can be reached."""
        answers = {}
        for node in self.nodes.values():
            if node.running():
                status = self.control.status(node.id)
                if status.get("reachable"):
                    answers[node.id] = {one["group"]: one for one in status["groups"]}
        return answers

    def group_status(self, group=0):
        """{node_id: status of the group} of the nodes that can be reached."""
        return {i: groups[group] for i, groups in self.statuses().items() if group in groups}

    def leader(self, group=0, but_not=()):
        """The id of the node that leads in the highest term, None if there is none now."""
        status = self.group_status(group)
        if not status:
            return None
        term = max(one["term"] for one in status.values())
        for node_id, one in status.items():
            if one["role"] == "leader" and one["term"] == term and node_id not in but_not:
                return node_id
        return None

    def wait_for_leader(self, group=0, but_not=(), timeout_s=30.0):
        return wait_until(lambda: self.leader(group, but_not),
                          f"group {group} has a leader (none of {but_not})", timeout_s)

    def follower(self, group=0):
        leader = self.wait_for_leader(group)
        return next(i for i, node in self.nodes.items() if i != leader and node.running())

    def wait_until_equal(self, groups=(0,), timeout_s=60.0):
        """Every node runs, knows the leader and has everything committed that any has in its log.
        {group: commit index}."""
        agreed = {}

        def equal():
            by_node = self.statuses()
            if len(by_node) < len(self.nodes):
                return False
            for group in groups:
                ends = {(one["commit_index"], one["last_index"], one["leader_id"], one["term"])
                        for one in (node.get(group) for node in by_node.values()) if one}
                commit, last, leader, _ = next(iter(ends), (0, 0, 0, 0))
                if len(ends) == 1 and commit == last and leader != 0:
                    agreed[group] = commit
                else:
                    agreed.pop(group, None)
            return len(agreed) == len(groups)

        try:
            wait_until(equal, f"all nodes agree on groups {list(groups)[:5]}", timeout_s)
        except AssertionError as error:
            status = {g: self.group_status(g) for g in groups if g not in agreed}
            raise AssertionError(f"{error}: {dict(list(status.items())[:3])}") from None
        return agreed

    def read_all(self, node, group, first, commit):
        """The whole log as one node shows it, with the contract of `read` checked on the way."""
        entries = []
        while first <= commit:
            answer = self.control.read(node=node, group=group, **{"from": first},
                                       count=READ_COUNT)
            assert answer.get("ok"), f"node {node} group {group} from {first}: {answer}"
            got = answer["entries"]
            assert got, f"node {node}: nothing at {first}, though {commit} is committed"
            assert got[0]["index"] == first, f"node {node}: asked for {first}, got {got[0]}"
            assert len(got) <= READ_COUNT, f"node {node}: more than was asked for"
            assert got[-1]["index"] <= answer["commit_index"], f"node {node}: {got[-1]} is not committed"
            entries += got
            first = got[-1]["index"] + 1
        return entries

    def logs(self, groups=(0,), timeout_s=60.0):
        """{group: {node: [entries]}} of a cluster at rest."""
        committed = self.wait_until_equal(groups, timeout_s)
        return {group: {node: self.read_all(node, group, 1, committed[group])
                        for node in self.nodes} for group in groups}
