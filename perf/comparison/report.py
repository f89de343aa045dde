"""The Markdown page of a comparison."""

import os

from .marks import all_marks
from .summary import Spread, number, take

TITLES = {}  # of the systems by name; perf/compare fills it in


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
                      *["| " + " | ".join(row) + " |" for row in rows]]) + "\n"


def machine_lines(machine, options):
    disk = machine["disk"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    changes = " with uncommitted changes" if machine["uncommitted_changes"] else ""
    return "\n".join([
        f"- {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, "
        f"{machine['system']}, kernel {machine['kernel']}",
        f"- {machine['filesystem']} ({machine['mount_options']}) on {disk['name']}: write cache "
        f"\"{disk['write_cache']}\", FUA {disk['fua']}, scheduler {disk['scheduler']}",
        f"- commit {machine['commit']}{changes}; {packages}",
        f"- {options['rounds']} interleaved rounds, {options['seconds']} s measured after "
        f"{options['warmup']} s of warm-up; load average before: {machine['load_before']:.2f}",
    ]) + "\n"


def durable_text(results, system):
    values = {record["result"]["durable"] for record in results.records
              if record["system"] == system and record["kind"] != "catch-up"}
    return "yes" if values == {True} else "**no**"


def capacity_rows(results, workload):
    rows = []
    for system in results.systems(workload):
        def cell(path, digits=None, system=system):
            return results.spread(system, workload, path).text(digits)
        megabytes = Spread([value / 1e6 for value in
                            results.spread(system, workload, "bytes_per_s").values])
        rows.append([
            TITLES[system], durable_text(results, system), cell("entries_per_s", 0),
            megabytes.text(), results.ratio(system, "floor", workload).text(),
            cell("latency_ms.p50"), cell("latency_ms.p99"), cell("latency_ms.p999"),
            cell("latency_ms.max")])
    return rows


CAPACITY_HEAD = ["", "durable", "entries/s", "MB/s", "share of the floor", "p50 ms", "p99 ms",
                 "p99.9 ms", "max ms"]


def cost_rows(results, workload):
    rows = []
    for system in results.systems(workload):
        records = results.of(system, workload)
        followers = [take(record["result"], "cpu.followers") for record in records]
        generator = results.spread(system, workload, "generator.core_share")
        rss = [sum(record["result"]["rss_bytes"]) / (1 << 20) for record in records
               if record["result"]["rss_bytes"]]
        rows.append([
            TITLES[system], results.spread(system, workload, "cpu.leader").text(),
            Spread([sum(one) / len(one) for one in followers if one]).text(),
            results.spread(system, workload, "cpu.servers").text(),
            results.spread(system, workload, "cpu.machine").text(),
            results.spread(system, workload, "generator.cpu_us_per_entry").text(),
            f"{generator.median * 100:.0f} %" if generator else "in process",
            Spread(rss).text(0)])
    return rows


COST_HEAD = ["", "leader", "a follower", "three servers", "whole machine", "generator",
             "generator's share of a core", "RSS MiB, all"]


def ratio_rows(results, workload):
    peers = [name for name in results.systems(workload) if not name.startswith(("sluice", "floor"))]
    rows = []
    for own in ("sluice", "sluice-in-process"):
        if not results.of(own, workload):
            continue
        for peer in peers:
            rows.append([TITLES[own], TITLES[peer],
                         *[results.ratio(own, peer, workload, path).text() for path in
                           ("entries_per_s", "latency_ms.p50", "latency_ms.p99",
                            "latency_ms.p999", "cpu.servers")]])
    return rows


def open_rows(results, workloads):
    rows = []
    for system in TITLES:
        for workload in (one for one in workloads if one.kind == "open"):
            if system not in results.systems(workload):
                continue
            rows.append([TITLES[system], f"{workload.rate_share * 100:.0f} %",
                         results.rate(system, workload).text(0),
                         *[results.spread(system, workload, path).text() for path in
                           ("entries_per_s", "latency_ms.p50", "latency_ms.p99",
                            "latency_ms.p999", "latency_ms.max", "unsent")]])
    return rows


def sections(results, workloads):
    for workload in (one for one in workloads if one.kind == "closed" and results.systems(one)):
        yield f"### {workload.name}\n"
        yield table(CAPACITY_HEAD, capacity_rows(results, workload))
        yield "Processor time of an entry, in microseconds:\n"
        yield table(COST_HEAD, cost_rows(results, workload))
        rows = ratio_rows(results, workload)
        if rows:
            yield "Ratios in the same round:\n"
            yield table(["", "to", "entries/s", "p50", "p99", "p99.9", "servers' processor time"],
                        rows)


def batch_rows(results, workloads):
    rows = []
    for workload in (one for one in workloads if one.kind == "batch"):
        for system in results.systems(workload):
            rows.append([f"{workload.batch_bytes_max // 1024:,} KiB", TITLES[system],
                         *[results.spread(system, workload, path).text() for path in
                           ("entries_per_s", "latency_ms.p50", "latency_ms.p99")]])
    return rows


def write(path, results, workloads, machine, options, missing, plots):
    marks = all_marks(results)
    out = [f"# Comparison: {os.path.basename(path)[:-3]}\n",
           "Medians, with the least and the most in brackets. How it is measured and how to read "
           "it: [perf/README.md](../README.md).\n",
           machine_lines(machine, options)]
    if missing:
        out.append("Left out: " + "; ".join(missing) + ".\n")
    out.append("## The mark\n")
    out.append("| what | wanted | measured | |\n|---|---|---|---|\n" +
               "\n".join(mark.row() for mark in marks) + "\n")
    out.append("## Capacity: closed loop\n")
    out += sections(results, workloads)
    rows = open_rows(results, workloads)
    if rows:
        out.append("## Latency under a given load: open loop, 256 B\n")
        out.append("Counted from the moment an entry was due; shares of each system's own "
                   "capacity in this comparison.\n")
        out.append(table(["", "load", "due/s", "entries/s", "p50 ms", "p99 ms", "p99.9 ms",
                          "max ms", "never sent"], rows))
    rows = batch_rows(results, workloads)
    if rows:
        out.append("## Throughput against the largest batch: 4,096 x 256 B\n")
        out.append(table(["largest batch", "", "entries/s", "p50 ms", "p99 ms"], rows))
    for title, name in plots:
        out.append(f"![{title}]({name})\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))
    return marks


def mark_lines(marks):
    for mark in marks:
        measured = mark.spread.text() if mark.spread else "-"
        yield f"  {mark.verdict():<34} {mark.text}: {measured} " \
              f"({'at least' if mark.at_least else 'at most'} {number(mark.wanted)})"
