#!/usr/bin/env python3
"""Refuses, in what the simulator runs, symbols that would make a run depend on more than its seed:
clocks, randomness of the system, threads, sleeping, the network and files of the system.

usage: symbols.py ARCHIVE...   looks at the undefined symbols of static libraries; exit status 1 and
                               a line for each that is refused
       symbols.py --self-test  sees that each kind is refused
"""

from __future__ import annotations

import re
import subprocess
import sys

REFUSED = {
    "clock": r"clock_gettime|gettimeofday|time|clock|ftime|_ZNSt6chrono\w*3nowEv",
    "randomness": r"getrandom|getentropy|s?rand(om)?(_r)?|[dejlmn]rand48|_ZNSt13random_device\w*"
                  r"|arc4random\w*",
    "threads": r"pthread_create|_ZNSt6thread\w*|thrd_create|fork|vfork|clone3?|_ZNSt18condition_variable\w*"
               r"|pthread_cond_\w*",
    "sleeping": r"(nano|u)?sleep|clock_nanosleep|s?poll|select|epoll_\w+|sched_yield",
    "the system's IO": r"io_uring_\w+|socket|connect|accept4?|send(to|msg)?|recv(from|msg)?|open(at|at2)?(64)?"
                       r"|p?read(v2?)?(64)?|p?write(v2?)?(64)?|f?(data)?sync|rename(at2?)?|unlink(at)?"
                       r"|getaddrinfo|eventfd|mmap(64)?",
    "the environment": r"(secure_)?getenv|environ",
}
PATTERNS = {kind: re.compile(rf"(?:{names})(?:@.*)?") for kind, names in REFUSED.items()}


def refused(symbol: str) -> str | None:
    for kind, pattern in PATTERNS.items():
        if pattern.fullmatch(symbol):
            return kind
    return None


def undefined_symbols(archive: str) -> set[str]:
    listing = subprocess.run(["nm", "--undefined-only", "--format=posix", archive], check=True,
                             text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return {line.split()[0] for line in listing.splitlines() if line and not line.endswith(":")}


def self_test() -> int:
    bad = ["clock_gettime", "_ZNSt6chrono3_V212steady_clock3nowEv", "getrandom", "rand",
           "_ZNSt13random_device9_M_getvalEv", "pthread_create", "_ZNSt6thread15_M_start_threadEv",
           "nanosleep", "io_uring_setup", "socket", "openat", "pread64", "fdatasync", "getenv",
           "time@GLIBC_2.2.5"]
    good = ["memcpy", "XXH3_64bits", "_Znwm", "pthread_mutex_lock", "jump_fcontext", "printf",
            "_ZN6sluice3sim5World4stepEv"]
    wrong = [s for s in bad if refused(s) is None] + [s for s in good if refused(s) is not None]
    for symbol in wrong:
        print(f"symbols.py: judged wrongly: {symbol}", file=sys.stderr)
    return 1 if wrong else 0


def main(arguments: list[str]) -> int:
    if arguments == ["--self-test"]:
        return self_test()
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    found = 0
    for archive in arguments:
        symbols = undefined_symbols(archive)
        if not symbols:
            print(f"{archive}: no undefined symbols at all, which cannot be", file=sys.stderr)
            found += 1
        for symbol in sorted(symbols):
            kind = refused(symbol)
            if kind is not None:
                print(f"{archive}: {symbol} ({kind})", file=sys.stderr)
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
