"""Compares what an entry costs now with what was accepted last (perf/guards.json).

    guards.py counts --program sluice_guards --accepted FILE
    guards.py instructions --program sluice_guards --accepted FILE
    guards.py accept --program sluice_guards --accepted FILE
    guards.py --self-test

`counts` compares allocations, submits, writes, bytes and frames; `instructions` runs the same program
under callgrind and compares the instructions of the engine's code. Both end with 1 if a figure is
above or below the accepted one by more than its tolerance, and with 77 (skipped) if there is nothing
to compare with. A figure that fell fails, too: what was won would be lost again without a word.
`accept` measures everything and writes the file.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OK, FAILED, SKIPPED = 0, 1, 77
PARTIES = ("leader", "followers", "clients")
FOLLOWERS = 2

# Shapes whose instructions are counted: a run under callgrind takes seconds for each party.
INSTRUCTION_SHAPES = ("16x100", "256x100", "256x100-of-16")
INSTRUCTION_WINDOW = 16384  # entries
# What makes these runs shorter: fewer entries before, and fewer zeros on the simulated disks.
SHORTER = ("--warm-up", "4096", "--window", str(INSTRUCTION_WINDOW), "--segment-bytes", "8388608")

COUNT_TOLERANCE = 0.04  # the simulator's seed alone makes up to 3 %
INSTRUCTION_TOLERANCE = 0.03
# Exact, whatever the others may be.
EXACT = ("allocations",)
MORE_IS_BETTER = ("entries_per_commit_round",)


def ratio(count, of):
    """A figure, with as many digits as the comparison needs."""
    return float(f"{count / of:.5g}") if of else 0.0


def figures_of(run):
    """What the counts of one shape mean: {figure: value}. Followers: one of them."""
    entries, payload, rounds = run["entries"], run["payload_bytes"], run["leader"]["writes"]
    if run["lacked_bytes"]:
        # A follower catches up: what the other two, who lead, read for that, beside what it lacked (but
        # for the last few MiB, which it gets from memory) and what they write meanwhile. All else
        # depends on how its start fell into the run.
        read = run["leader"]["read_bytes"]
        return {"leader.read_bytes_per_lacked_byte": ratio(read, run["lacked_bytes"]),
                "leader.read_bytes_per_written_byte": ratio(read, run["leader"]["written_bytes"])}
    figures = {"entries_per_commit_round": ratio(entries, rounds)}
    for party in PARTIES:
        counts = run[party]
        share = FOLLOWERS if party == "followers" else 1

        def add(name, count, of, party=party, share=share):
            figures[f"{party}.{name}"] = ratio(count, of * share)

        figures[f"{party}.allocations"] = counts["allocations"]
        add("submits_per_entry", counts["submits"], entries)
        add("frames_per_entry", counts["frames"], entries)
        add("sent_bytes_per_payload_byte", counts["sent_bytes"], payload)
        if party == "clients":
            continue
        add("submits_per_commit_round", counts["submits"], rounds)
        add("loops_per_commit_round", counts["loops"], rounds)
        add("operations_per_commit_round", counts["operations"], rounds)
        add("writes_per_entry", counts["writes"], entries)
        add("written_bytes_per_payload_byte", counts["written_bytes"], payload)
        add("plain_written_bytes_per_payload_byte", counts["plain_written_bytes"], payload)
        add("syncs_per_commit_round", counts["syncs"], rounds)
        # A leader's go to clients, a follower's to the leader.
        add("answers_per_entry", counts["answers"], entries)
        add("answer_frames_per_commit_round", counts["answer_frames"], rounds)
    return figures


def measure_counts(program):
    done = subprocess.run([program], check=True, capture_output=True, text=True)
    return {shape: figures_of(run) for shape, run in json.loads(done.stdout).items()}


def measure_instructions(program):
    """{shape: {"leader": instructions per entry, ...}}, each follower for itself."""
    figures = {}
    for shape in INSTRUCTION_SHAPES:
        figures[shape] = {}
        for party in PARTIES:
            total = callgrind_total(program, shape, party)
            share = FOLLOWERS if party == "followers" else 1
            figures[shape][f"{party}.instructions_per_entry"] = ratio(
                total, INSTRUCTION_WINDOW * share)
    return figures


def callgrind_total(program, shape, party):
    # Without the tunable the C library copies with one instruction that counts once a byte.
    environment = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.x86_rep_movsb_threshold=1073741824:"
                                                   "glibc.cpu.x86_rep_stosb_threshold=1073741824"}
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "out"
        subprocess.run(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
             f"--callgrind-out-file={out}",
             program, "--shape", shape, "--collect", party, *SHORTER],
            check=True, capture_output=True, env=environment)
        total = sum_of_profile(out.read_text())
    if total == 0:
        raise SystemExit(f"guards: callgrind saw no instruction of {party} in {shape}")
    return total


def sum_of_profile(text):
    """Instructions in a callgrind profile, without those of the guards' own functions. (Format:
    valgrind's manual, "Callgrind Format Specification".)"""
    names = {}
    ours = called = False
    total = 0
    for line in text.splitlines():
        if match := re.match(r"fn=\((\d+)\)(?: (.*))?", line):
            number, name = match.groups()
            if name:
                names[number] = name
            ours = "sluice::guards::" in names[number]
        elif match := re.match(r"cfn=\((\d+)\) (.*)", line):
            names[match[1]] = match[2]
        elif line.startswith("calls="):
            called = True  # the next line is the cost of what was called, counted there
        elif match := re.match(r"(?:[+-]?\d+|\*) (\d+)$", line):
            total += 0 if ours or called else int(match[1])
            called = False
    return total


def machine_of(program):
    """What instructions depend on besides the code: they are compared between equals only."""
    return json.loads(subprocess.run([program, "--build"], check=True, capture_output=True,
                                     text=True).stdout)


def count_tolerance(figure):
    return 0 if figure.split(".")[-1] in EXACT else COUNT_TOLERANCE


def instruction_tolerance(_figure):
    return INSTRUCTION_TOLERANCE


def differences(accepted, measured, tolerance):
    """Lines that say what differs, and how many figures were compared."""
    lines = []
    compared = 0
    for shape in sorted(set(accepted) | set(measured)):
        before, now = accepted.get(shape, {}), measured.get(shape, {})
        for figure in sorted(set(before) | set(now)):
            where = f"{shape} {figure}"
            if figure not in before or figure not in now:
                side = "accepted" if figure in before else "measured"
                lines.append(f"{where}: only {side}")
                continue
            compared += 1
            allowed = tolerance(figure) * before[figure]
            change = now[figure] - before[figure]
            if abs(change) <= allowed:
                continue
            percent = f" ({change / before[figure]:+.1%})" if before[figure] else ""
            word = "better" if (change > 0) == (figure in MORE_IS_BETTER) else "WORSE"
            lines.append(f"{where}: {before[figure]:g} -> {now[figure]:g}{percent} {word}")
    return lines, compared


def judge(accepted, measured, tolerance):
    lines, compared = differences(accepted, measured, tolerance)
    for line in lines:
        print(f"guards: {line}")
    if lines:
        print(f"guards: {len(lines)} of {compared} figures differ from perf/guards.json. If that is "
              "meant, run tests/guards/accept, and say why in the commit with the new file.")
        return FAILED
    print(f"guards: {compared} figures are as accepted")
    return OK


def check_counts(options):
    return judge(json.loads(options.accepted.read_text())["counts"],
                 measure_counts(options.program), count_tolerance)


def check_instructions(options):
    accepted = json.loads(options.accepted.read_text())["instructions"]
    if not shutil.which("valgrind"):
        print("guards: SKIPPED: valgrind is missing (tools/install-deps test)")
        return SKIPPED
    build = machine_of(options.program)
    if not build["callgrind"]:
        print("guards: SKIPPED: built without valgrind's headers (tools/install-deps test)")
        return SKIPPED
    for key, value in accepted["build"].items():
        if build[key] != value:
            print(f"guards: SKIPPED: the accepted instructions are those of {key} {value}, "
                  f"this is {build[key]}")
            return SKIPPED
    return judge(accepted["per_entry"], measure_instructions(options.program),
                 instruction_tolerance)


def accept(options):
    accepted = {
        "about": "What tests/guards last accepted: see tests/guards/README.md. Written by "
                 "tests/guards/accept.",
        "counts": measure_counts(options.program),
        "instructions": {"build": machine_of(options.program),
                         "per_entry": measure_instructions(options.program)},
    }
    if options.accepted.exists():
        before = json.loads(options.accepted.read_text())
        for old, new, tolerance in (
                (before["counts"], accepted["counts"], count_tolerance),
                (before["instructions"]["per_entry"], accepted["instructions"]["per_entry"],
                 instruction_tolerance)):
            for line in differences(old, new, tolerance)[0]:
                print(f"guards: {line}")
    options.accepted.write_text(json.dumps(accepted, indent=2) + "\n")
    print(f"guards: wrote {options.accepted}")
    return OK


def self_test():
    base = {"s": {"leader.allocations": 0, "leader.submits_per_entry": 0.5}}

    def with_value(figure, value):
        return {"s": {**base["s"], figure: value}}

    def found(now):
        return "".join(differences(base, now, count_tolerance)[0])

    assert differences(base, base, count_tolerance) == ([], 2)
    assert not found(with_value("leader.submits_per_entry", 0.515))
    assert "WORSE" in found(with_value("leader.submits_per_entry", 0.53))
    assert "better" in found(with_value("leader.submits_per_entry", 0.47))
    assert "WORSE" in found(with_value("leader.allocations", 1))
    assert "only measured" in found(with_value("leader.new", 1))
    assert "only accepted" in found({})
    counts = dict.fromkeys(("allocations", "submits", "frames", "sent_bytes", "loops", "operations",
                            "writes", "written_bytes", "plain_written_bytes", "syncs", "answers",
                            "answer_frames"), 8)
    run = {"entries": 16, "payload_bytes": 1600, "lacked_bytes": 0,
           **{party: counts for party in PARTIES}}
    figures = figures_of(run)
    assert figures["leader.answers_per_entry"] == 0.5
    assert figures["followers.answers_per_entry"] == 0.25
    assert figures["leader.submits_per_commit_round"] == 1
    behind = {**run, "lacked_bytes": 16, "leader": {**counts, "read_bytes": 20, "written_bytes": 40}}
    assert figures_of(behind) == {"leader.read_bytes_per_lacked_byte": 1.25,
                                  "leader.read_bytes_per_written_byte": 0.5}
    profile = ("fn=(1) engine\n12 5\ncfn=(2) sluice::guards::Meter\ncalls=1 4\n+3 70\n* 6\n"
               "fn=(2)\n9 100\nfn=(1)\n-1 7\n")
    assert sum_of_profile(profile) == 5 + 6 + 7
    print("guards: self-test passed")
    return OK


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("counts", "instructions", "accept"))
    parser.add_argument("--program")
    parser.add_argument("--accepted", type=Path)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    if not options.what or not options.program or not options.accepted:
        parser.error("say what, and name --program and --accepted")
    todo = {"counts": check_counts, "instructions": check_instructions, "accept": accept}
    return todo[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
