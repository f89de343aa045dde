"""Other systems: three nodes each on this machine, with fresh directories, and their drivers
(perf/peers). start() and stop() once a round; run() in between."""

import json
import os
import shutil
import subprocess
import tempfile

from . import process
from .own import run_timeout


class Peer:
    """What they share. A subclass says how its nodes start and what its driver is told."""
    groups_max = 1
    durable = True
    program = None     # that must be installed
    package = None

    def __init__(self, drivers_dir, data_dir):
        self.driver = os.path.join(drivers_dir, f"peer_{self.name}")
        self.data_dir = data_dir
        self.directory = None
        self.children = []

    def why_missing(self):
        if self.program and not self.find_program():
            return f"the package {self.package} is missing (tools/install-deps peers)"
        if not os.access(self.driver, os.X_OK):
            return f"{self.driver} is missing (its libraries: tools/install-deps peers)"
        return None

    def find_program(self):
        return shutil.which(self.program, path=os.environ.get("PATH", "") +
                            ":/usr/sbin:/usr/lib/rabbitmq/bin")

    def takes(self, workload):
        return workload.groups <= self.groups_max and not workload.batch_bytes_max

    def start(self):
        self.directory = tempfile.mkdtemp(prefix=f"sluice-perf-{self.name}-", dir=self.data_dir)
        try:
            self.start_nodes()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        process.stop(self.children)
        self.children = []
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def start_nodes(self):
        pass

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def server_pids(self):
        return [child.pid for child in self.children]

    def target(self):
        """Options of the driver that name the servers."""
        return []

    def run(self, workload, rate, seconds, warmup):
        command = [self.driver, f"--entry-bytes={workload.entry_bytes}",
                   f"--groups={workload.groups}", f"--seconds={seconds}",
                   f"--warmup-seconds={warmup}", *self.target()]
        command += [f"--rate={rate:.0f}", "--outstanding=4096"] if rate else \
            [f"--outstanding={workload.outstanding}"]
        pids = self.server_pids()
        if pids:
            command.append("--pid=" + ",".join(map(str, pids)))
        raw = json.loads(process.run(command, run_timeout(seconds)))
        servers, leader = raw["cpu_us_per_entry"]["servers"], raw["cpu_us_per_entry"]["leader"]
        followers = [cpu for i, cpu in enumerate(servers) if i != leader]
        return {
            "entries_per_s": raw["entries_per_s"], "bytes_per_s": raw["bytes_per_s"],
            "latency_ms": raw["latency_ms"], "unsent": raw["unsent"],
            "cpu": {"leader": servers[leader] if leader is not None else None,
                    "followers": followers, "servers": sum(servers),
                    "machine": raw["cpu_us_per_entry"]["machine"]},
            "generator": raw["generator"], "rss_bytes": raw["rss_bytes"],
            "durable": self.durable, "details": raw,
        }


class CRaft(Peer):
    name = "craft"
    title = "C-raft, client in process"

    def run(self, workload, rate, seconds, warmup):
        # Its driver is its three nodes; each run has its own.
        for name in os.listdir(self.directory):
            shutil.rmtree(self.path(name), ignore_errors=True)
        return super().run(workload, rate, seconds, warmup)

    def target(self):
        return [f"--data-dir={self.directory}"]


class Etcd(Peer):
    name = "etcd"
    title = "etcd"
    program, package = "etcd", "etcd-server"

    def start_nodes(self):
        ports = process.free_ports(6)
        self.clients, peers = ports[:3], ports[3:]
        cluster = ",".join(f"e{i}=http://127.0.0.1:{port}" for i, port in enumerate(peers))
        for i in range(3):
            client, peer = (f"http://127.0.0.1:{port}" for port in (self.clients[i], peers[i]))
            self.children.append(process.start(
                [self.find_program(), "--name", f"e{i}", "--data-dir", self.path(f"node-{i}"),
                 "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", cluster, "--initial-cluster-state", "new",
                 # Patience costs nothing; what it puts is kept in a file of its own.
                 "--heartbeat-interval", "200", "--election-timeout", "4000",
                 "--quota-backend-bytes", str(64 << 30), "--logger", "zap", "--log-level", "error"],
                self.path(f"log-{i}")))
        for port, child in zip(self.clients, self.children):
            process.wait_for_port(port, child)

    def target(self):
        return ["--server=" + ",".join(f"127.0.0.1:{port}" for port in self.clients)]


class Nats(Peer):
    name = "nats"
    title = "NATS JetStream"
    program, package = "nats-server", "nats-server"
    durable = False
    groups_max = 64

    def start_nodes(self):
        ports = process.free_ports(6)
        self.clients, routes = ports[:3], ports[3:]
        urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        for i in range(3):
            config = self.write(f"node-{i}.conf", f"""
server_name: n{i}
listen: "127.0.0.1:{self.clients[i]}"
jetstream {{ store_dir: "{self.path(f'node-{i}')}", max_mem: 1G, max_file: 100G }}
cluster {{ name: perf, listen: "127.0.0.1:{routes[i]}", routes: [{urls}] }}
""")
            self.children.append(
                process.start([self.find_program(), "-c", config], self.path(f"log-{i}")))
        for port, child in zip(self.clients, self.children):
            process.wait_for_port(port, child)

    def target(self):
        return ["--server=" + ",".join(f"127.0.0.1:{port}" for port in self.clients),
                "--name=n0,n1,n2"]


class RabbitMQ(Peer):
    name = "rabbitmq"
    title = "RabbitMQ quorum queues"
    # Not the wrapper in /usr/sbin, which changes the user and has a place for its data.
    program, package = "/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"
    groups_max = 64

    def start_nodes(self):
        ports = process.free_ports(7)
        self.clients, distribution, names = ports[:3], ports[3:6], ports[6]
        self.write(".erlang.cookie", "SLUICEPERF")
        os.chmod(self.path(".erlang.cookie"), 0o400)
        plugins = self.write("plugins", "[].\n")
        nodes = "".join(f"cluster_formation.classic_config.nodes.{i + 1} = perf{i}@localhost\n"
                        for i in range(3))
        env = {**os.environ, "HOME": self.directory, "ERL_EPMD_PORT": str(names),
               "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_ENABLED_PLUGINS_FILE": plugins,
               "RABBITMQ_CONF_ENV_FILE": self.write("env", ""),
               "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                   "-kernel inet_dist_use_interface {127,0,0,1}"}
        self.children.append(process.start(["epmd", "-port", str(names)], self.path("log-epmd"), env))
        process.wait_for_port(names, self.children[0])
        for i in range(3):
            config = self.write(f"node-{i}.conf", f"""
listeners.tcp.1 = 127.0.0.1:{self.clients[i]}
cluster_formation.peer_discovery_backend = classic_config
{nodes}cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
vm_memory_high_watermark.relative = 0.8
disk_free_limit.absolute = 100MB
log.file.level = error
""")
            self.children.append(process.start([self.program], self.path(f"log-{i}"), {
                **env, "RABBITMQ_NODENAME": f"perf{i}@localhost", "RABBITMQ_CONFIG_FILE": config,
                "RABBITMQ_DIST_PORT": str(distribution[i]),
                "RABBITMQ_MNESIA_BASE": self.path(f"node-{i}"),
                "RABBITMQ_LOG_BASE": self.path(f"logs-{i}")}))
        for port, child in zip(self.clients, self.children[1:]):
            process.wait_for_port(port, child, 180)
        done = subprocess.run(
            [os.path.join(os.path.dirname(self.program), "rabbitmqctl"), "-n", "perf0@localhost",
             "await_online_nodes", "3", "--timeout", "90"],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180,
            check=False)
        if done.returncode != 0:
            raise process.Failed("RabbitMQ's nodes do not join: " + done.stdout.strip()[-200:])

    def server_pids(self):
        found = []
        for child in self.children[1:]:
            found += [pid for pid in [child.pid, *process.descendants(child.pid)]
                      if process.name_of(pid).startswith("beam")]
        return found

    def target(self):
        return [f"--server=127.0.0.1:{self.clients[0]}"]


ALL = (CRaft, Etcd, Nats, RabbitMQ)
