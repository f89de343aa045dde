"""Results of one comparison, and the medians and ratios of them.

A record is {"system", "workload", "kind", "round", "rate", "result"}, the result as in own.py."""

import statistics

from .workloads import OWN, PEERS


class Spread:
    """A median and what lies around it."""

    def __init__(self, values):
        self.values = [value for value in values if value is not None]

    def __bool__(self):
        return bool(self.values)

    @property
    def median(self):
        return statistics.median(self.values)

    def text(self, digits=None):
        if not self:
            return "-"
        parts = [number(value, digits) for value in
                 (self.median, min(self.values), max(self.values))]
        return parts[0] if len(self.values) == 1 else f"{parts[0]} ({parts[1]}-{parts[2]})"


def number(value, digits=None):
    """With three digits that count, if it is not said how many after the point."""
    if digits is None:
        size = abs(value)
        digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def take(result, path):
    """take(result, "latency_ms.p50")"""
    for key in path.split("."):
        result = result.get(key) if isinstance(result, dict) else None
    return result


class Results:
    def __init__(self, records):
        self.records = records

    def of(self, system, workload):
        return [record for record in self.records
                if record["system"] == system and record["workload"] == workload.name]

    def spread(self, system, workload, path):
        return Spread([take(record["result"], path) for record in self.of(system, workload)])

    def ratio(self, system, other, workload, path="entries_per_s", other_workload=None):
        """Of one system to another in the same round: machines drift between rounds."""
        others = {record["round"]: take(record["result"], path)
                  for record in self.of(other, other_workload or workload)}
        return Spread([value / others[record["round"]] for record in self.of(system, workload)
                       if others.get(record["round"]) and
                       (value := take(record["result"], path)) is not None])

    def rate(self, system, workload):
        return Spread([record["rate"] for record in self.of(system, workload)])

    def catch_up(self):
        """Share of the throughput that is left while a follower catches up."""
        return Spread([take(record["result"], "share_left") for record in self.records
                       if record["kind"] == "catch-up"])

    def systems(self, workload):
        """Those that ran it."""
        return [name for name in (*OWN, *PEERS) if self.of(name, workload)]
