"""What was appended and what came of it, and the promise checked against the logs at the end."""

import threading
import time
from dataclasses import dataclass, field

REFUSED = ("refused", "not_leader")
PROBLEMS_SHOWN_MAX = 20


@dataclass
class Append:
    """One entry that somebody wanted in a log; `data` is unique within its group. With a producer
    it may have been tried several times."""
    group: int
    data: str
    producer: int = 0
    sequence: int = 0
    submitted_at: float = 0.0
    answered_at: float = float("inf")  # of the first ok
    answers: list = field(default_factory=list)
    tries: int = 0

    def acknowledged(self):
        return [a for a in self.answers if a.get("ok")]

    def certainly_absent(self):
        """Each try was answered, and each answer says that it is in no log."""
        return len(self.answers) == self.tries and all(
            a.get("error") in REFUSED for a in self.answers)

    def __str__(self):
        who = f" producer {self.producer} sequence {self.sequence}" if self.producer else ""
        return f"group {self.group} {self.data[:60]!r}{who} answers {self.answers[-3:]}"


class History:
    def __init__(self):
        self._lock = threading.Lock()
        self.appends = {}
        self.reads = []  # (node, group, entry) that some read returned as committed

    def submit(self, group, data, producer=0, sequence=0):
        """Notes one try. Call before the request leaves."""
        with self._lock:
            append = self.appends.get((group, data))
            if append is None:
                append = Append(group, data, producer, sequence, time.monotonic())
                self.appends[(group, data)] = append
            append.tries += 1
            return append

    def answer(self, append, answer):
        with self._lock:
            if answer.get("ok"):
                append.answered_at = min(append.answered_at, time.monotonic())
            append.answers.append(answer)

    def saw(self, node, group, entries):
        with self._lock:
            self.reads += [(node, group, entry) for entry in entries]

    def count(self, error=None):
        """Appends whose last answer is ok (or this error)."""
        with self._lock:
            return sum(1 for a in self.appends.values() if a.answers and
                       (a.answers[-1].get("ok") if error is None
                        else a.answers[-1].get("error") == error))

    def problems(self, logs):
        """logs: {group: {node: [entries]}}, each a whole log as `read` shows it. A list of lines,
        empty if the promise was kept."""
        found = []
        for group, by_node in sorted(logs.items()):
            found += _equal_on_all_nodes(group, by_node)
            log = next(iter(by_node.values()))
            found += _well_formed(group, log)
            appends = [a for a in self.appends.values() if a.group == group]
            found += _against_log(group, log, appends)
            found += _reads_were_true(group, log, self.reads)
        return found

    def check(self, logs):
        found = self.problems(logs)
        if found:
            more = len(found) - PROBLEMS_SHOWN_MAX
            raise AssertionError("\n".join(
                ["the promise was broken:"] + found[:PROBLEMS_SHOWN_MAX] +
                ([f"... and {more} more"] if more > 0 else [])))


def _equal_on_all_nodes(group, by_node):
    (first_node, first), *others = sorted(by_node.items())
    for node, log in others:
        if log == first:
            continue
        for a, b in zip(first, log):
            if a != b:
                yield f"group {group}: node {first_node} has {a}, node {node} has {b}"
                break
        else:
            yield (f"group {group}: node {first_node} has {len(first)} entries, "
                   f"node {node} has {len(log)}")


def _well_formed(group, log):
    for before, entry in zip(log, log[1:]):
        if entry["index"] != before["index"] + 1:
            yield f"group {group}: {entry} follows {before}"
        if entry["term"] < before["term"]:
            yield f"group {group}: the term falls at {entry}"


def _against_log(group, log, appends):
    places = {}
    for entry in log:
        if not entry.get("internal"):
            places.setdefault(entry.get("data"), []).append(entry)
    known = {a.data for a in appends}
    for data, entries in places.items():
        if data not in known:
            yield f"group {group}: nobody appended {entries[0]}"
        if len(entries) > 1:
            yield f"group {group}: more than once: {[e['index'] for e in entries]} {data[:60]!r}"
    for append in appends:
        at = places.get(append.data, [])
        for answer in append.acknowledged():
            if not any(e["index"] == answer["index"] and e["term"] == answer["term"] for e in at):
                yield f"acknowledged {answer} but found at {at[:2]}: {append}"
        if append.certainly_absent() and at:
            yield f"refused, but in the log at {at[0]['index']}: {append}"
    yield from _in_order(group, places, appends)


def _in_order(group, places, appends):
    """An entry acknowledged before another was submitted comes before it; and a producer's entries
    come in the order of its sequences."""
    present = sorted(((places[a.data][0]["index"], a) for a in appends if a.data in places),
                     key=lambda pair: pair[0])
    earliest_answer = float("inf")
    behind = None
    for index, append in reversed(present):
        if earliest_answer < append.submitted_at:
            yield (f"group {group}: at {index}, but submitted after the acknowledgement of "
                   f"{behind.data[:60]!r} behind it: {append}")
        if append.answered_at < earliest_answer:
            earliest_answer, behind = append.answered_at, append
    last = {}
    for index, append in present:
        if not append.producer:
            continue
        if append.sequence <= last.get(append.producer, 0):
            yield f"group {group}: out of sequence at {index}: {append}"
        last[append.producer] = append.sequence


def _reads_were_true(group, log, reads):
    if not log:
        return
    first = log[0]["index"]
    for node, of_group, entry in reads:
        at = entry["index"] - first
        if of_group != group or at < 0:
            continue
        if at >= len(log) or log[at] != entry:
            now = log[at] if at < len(log) else "nothing"
            yield f"group {group}: node {node} showed {entry} as committed; there is {now}"
