"""The mark: what Sluice is to reach on a machine, and whether a comparison shows it."""

import dataclasses

from .summary import number
from .workloads import closed


@dataclasses.dataclass(frozen=True)
class Mark:
    text: str
    wanted: float
    at_least: bool
    spread: object          # what was measured; empty if it was not
    unit: str = ""

    @property
    def met(self):
        value = self.spread.median
        return value >= self.wanted if self.at_least else value <= self.wanted

    def verdict(self):
        if not self.spread:
            return "not measured"
        value = self.spread.median
        if self.met:
            return "met"
        if value <= 0:
            return "missed"
        factor = self.wanted / value if self.at_least else value / self.wanted
        return f"missed: {factor:.2f} times what it may be" if not self.at_least else \
            f"missed by a factor of {factor:.2f}"

    def row(self):
        sign = "at least" if self.at_least else "at most"
        measured = self.spread.text() + self.unit if self.spread else "-"
        return f"| {self.text} | {sign} {number(self.wanted)}{self.unit} | {measured} " \
               f"| {self.verdict()} |"


def against_floor(results):
    small, saturated, alone = closed(256, 100), closed(4096, 1024), closed(1, 100)
    return [
        Mark("in process, 256 x 100 B: share of the floor's entries/s", 0.8, True,
             results.ratio("sluice-in-process", "floor", small)),
        Mark("network, 256 x 100 B: share of the floor's entries/s", 0.6, True,
             results.ratio("sluice", "floor", small)),
        Mark("network, saturated with 1 KiB: share of the floor's entries/s", 0.6, True,
             results.ratio("sluice", "floor", saturated)),
        Mark("network, 1 x 100 B: p50, times the floor's", 1.4, False,
             results.ratio("sluice", "floor", alone, "latency_ms.p50")),
    ]


def against_peers(results):
    load = closed(256, 256)
    marks = [
        Mark("in process, 256 x 256 B: entries/s, times C-raft's", 8, True,
             results.ratio("sluice-in-process", "craft", load)),
        Mark("in process, 256 x 256 B: p99.9, times C-raft's", 0.1, False,
             results.ratio("sluice-in-process", "craft", load, "latency_ms.p999")),
    ]
    for peer, title, factor in (("etcd", "etcd", 50), ("rabbitmq", "RabbitMQ", 25),
                                ("nats", "JetStream", 10)):
        marks.append(Mark(f"network, 256 x 256 B: entries/s, times {title}'s", factor, True,
                          results.ratio("sluice", peer, load)))
        for key, name in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")):
            marks.append(Mark(f"network, 256 x 256 B: {name}, times {title}'s", 1, False,
                              results.ratio("sluice", peer, load, f"latency_ms.{key}")))
    return marks


def of_itself(results):
    busy = closed(4096, 256)
    many = closed(4096, 256, groups=1000)
    return [
        Mark("network, 4,096 x 256 B: processor time of the three servers an entry", 1, False,
             results.spread("sluice", busy, "cpu.servers"), " us"),
        Mark("network, 4,096 x 256 B: 1,000 groups, share of one group's entries/s", 0.7, True,
             results.ratio("sluice", "sluice", many, other_workload=busy)),
        Mark("a follower that catches up: share of the leader's throughput that is left", 0.8, True,
             results.catch_up()),
    ]


def all_marks(results):
    return against_floor(results) + against_peers(results) + of_itself(results)
