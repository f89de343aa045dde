#!/usr/bin/env python3
"""Keeps the arrows between the folders, by reading the #include lines of every source file.

    wire          -> xxhash, flatbuffers
    segments      -> wire
    engine/raft   -> the ids of wire
    engine/io     -> the results and checks of wire, liburing
    engine/shard  -> raft, io, segments, wire
    engine/client -> wire, io
    engine        -> shard and what is below it, the outcomes of client
    tools, bench, perf, tests -> anything; nothing depends on them

and refuses clocks, randomness, threads, input and output, and logging in the pure folders wire,
segments and engine/raft: what they do must follow from what they are given, or the simulator could
not replay it.

usage: layering.py ROOT         checks a source tree; exit status 1 and one line per violation
       layering.py --self-test  plants violations and sees that each is found
"""

import re
import sys
import tempfile
from pathlib import Path

SOURCE_SUFFIXES = {".h", ".cc", ".cpp", ".hpp", ".c"}

# What a folder may include: whole folders ("wire/") or single headers. Its own is always allowed.
ALLOWED = {
    "wire": [],
    "segments": ["wire/"],
    "engine/raft": ["wire/ids.h", "wire/check.h", "wire/result.h", "wire/ring.h", "wire/prefetch.h"],
    "engine/io": ["wire/check.h", "wire/result.h"],
    # config.h is a struct of values (see FILES below): the shard takes its options in it.
    "engine/shard": ["engine/raft/", "engine/io/", "segments/", "wire/", "engine/config.h"],
    "engine/client": ["wire/", "engine/io/"],
    # client.h for what an outcome is: the same word in both clients.
    "engine": ["engine/shard/", "engine/raft/", "engine/io/", "engine/client/client.h", "segments/",
               "wire/"],
}

# Files that are held to less than their folder, because more may include them.
FILES = {"engine/config.h": ["wire/"]}

# Folders that may include anything, and that only the others of them may include.
OUTER = {"tools", "bench", "perf", "tests"}

# Libraries, by the beginning of the header's name, and the folders below OUTER that may use them.
LIBRARIES = {
    "xxhash": {"wire"},
    "flatbuffers/": {"wire", "segments", "engine/shard", "engine/client"},
    "liburing": {"engine/io"},
    "fmt/": {"engine/shard", "engine/client", "engine"},
    "spdlog/": {"engine"},
    "toml++/": {"engine"},
    "jemalloc/": {"engine"},
    "CLI/": set(),
    "nlohmann/": set(),
    "gtest/": set(),
    "gmock/": set(),
    "benchmark/": set(),
}

PURE = {"wire", "segments", "engine/raft"}
# From here on a header of the C++ library is as good as the system call behind it.
PURE_HEADERS = re.compile(
    r"(chrono|ctime|time\.h|thread|stop_token|mutex|shared_mutex|atomic|stdatomic\.h|future"
    r"|condition_variable|semaphore|latch|barrier|pthread\.h|random|iostream|ostream|istream"
    r"|fstream|sstream|iomanip|filesystem|cstdio|stdio\.h|syslog\.h|unistd\.h|fcntl\.h|dirent\.h"
    r"|signal\.h|csignal|netdb\.h|poll\.h|sys/.*|netinet/.*|arpa/.*|linux/.*)"
)
PURE_SYMBOLS = re.compile(
    r"(?<![\w.>])(?:std\s*::\s*|::\s*)?"
    r"(time|clock|clock_gettime|gettimeofday|rand|srand|rand_r|drand48|getrandom|getenv|printf"
    r"|fprintf|puts|fputs|perror|fopen|system|sleep|usleep|nanosleep|syscall)\s*\("
    r"|\b(thread_local|random_device|mt19937(?:_64)?|__rdtsc|_mm_pause)\b"
)
# The one place that writes a line before it ends the process.
PURE_EXCEPTIONS = {"wire/check.h": {"cstdio", "fprintf"}}

INCLUDE = re.compile(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]")


def folder_of(path):
    """The layer that a file or an included header belongs to, or None if it is not of the project."""
    parts = path.split("/")
    if parts[0] in OUTER:
        return parts[0]
    for length in (2, 1):
        folder = "/".join(parts[:length])
        if len(parts) > length and folder in ALLOWED:
            return folder
    return None


def without_comments_and_strings(text):
    """The code alone, with the line numbers kept. Include lines must be read before this."""
    pattern = re.compile(
        r"//[^\n]*|/\*.*?\*/|R\"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)\""
        r"|\"(?:\\.|[^\"\\\n])*\"|(?<![\w])'(?:\\.|[^'\\\n])+'",
        re.DOTALL,
    )
    return pattern.sub(lambda found: "\n" * found.group().count("\n") or " ", text)


def library_of(header):
    for beginning in LIBRARIES:
        if header.startswith(beginning):
            return beginning
    return None


def include_problem(path, folder, header):
    """Why `path` may not include `header`, or None."""
    target = folder_of(header)
    if target in OUTER:
        return f"nothing depends on {target}"
    allowed = FILES.get(path)
    if allowed is None:
        if target == folder:
            return None
        allowed = ALLOWED[folder]
    if target is not None:
        if any(header == a or (a.endswith("/") and folder_of(header) == a[:-1]) for a in allowed):
            return None
        return f"{path if path in FILES else folder} may include only: {', '.join(allowed) or 'itself'}"
    library = library_of(header)
    if library is not None and folder not in LIBRARIES[library]:
        return f"{library.rstrip('/')} is not for {folder}"
    return None


def violations_of(path, text):
    """One line for each violation in a file, `path` relative to the root."""
    folder = folder_of(path)
    if folder is None or folder in OUTER:
        return
    exceptions = PURE_EXCEPTIONS.get(path, set())
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        header = found.group(2)
        if (found.group(1) == '"' and "/" not in header) or ".." in header.split("/"):
            yield f"{path}:{number}: \"{header}\": includes are named from the root of the project"
            continue
        problem = include_problem(path, folder, header)
        if problem is None and folder in PURE and header not in exceptions:
            if PURE_HEADERS.fullmatch(header):
                problem = f"{folder} is pure: no clock, randomness, thread, IO or logging"
        if problem is not None:
            yield f"{path}:{number}: {header}: {problem}"
    if folder not in PURE:
        return
    for number, line in enumerate(without_comments_and_strings(text).splitlines(), 1):
        for found in PURE_SYMBOLS.finditer(line):
            symbol = found.group(1) or found.group(2)
            if symbol not in exceptions:
                yield f"{path}:{number}: {symbol}: {folder} is pure: it is handed what it needs"


def source_files(root):
    for top in sorted({folder.split("/")[0] for folder in ALLOWED}):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SOURCE_SUFFIXES:
                yield path


def check(root):
    """All violations in a tree, and the number of files read."""
    found = []
    count = 0
    for path in source_files(root):
        count += 1
        found += violations_of(path.relative_to(root).as_posix(), path.read_text("utf-8"))
    return found, count


# --- the test of the test ------------------------------------------------------------------------

# (file, its text, what must be named in the one violation; None: none)
PLANTED = [
    ("wire/a.cc", "#include <xxhash.h>\n#include <flatbuffers/flatbuffers.h>\n", None),
    ("wire/b.h", '#include "segments/record.h"\n', "wire/b.h:1: segments/record.h"),
    ("wire/check.h", "#include <cstdio>\nvoid f() { std::fprintf(stderr, \"x\"); }\n", None),
    ("wire/c.cc", "#include <cstdio>\n", "wire/c.cc:1: cstdio"),
    ("wire/d.cc", "#include <liburing.h>\n", "liburing is not for wire"),
    ("segments/a.cc", '#include "wire/batch.h"\n#include "segments/b.h"\n', None),
    ("segments/b.cc", '#include "engine/io/io.h"\n', "segments may include only"),
    ("segments/c.cc", "#include <xxhash.h>\n", "xxhash is not for segments"),
    ("segments/d.cc", "// time(nullptr)\nint f() { return x.time(); } // rand()\n", None),
    ("segments/e.cc", "\nlong f() { return time(nullptr); }\n", "segments/e.cc:2: time"),
    ("segments/f.cc", "auto f() { return std::getenv(\"A\"); }\n", "getenv"),
    ("segments/g.cc", '#include "wire/../engine/io/io.h"\n', "segments/g.cc:1"),
    ("engine/raft/a.cc", '#include "wire/ids.h"\n#include "engine/raft/b.h"\n', None),
    ("engine/raft/b.cc", '#include "wire/batch.h"\n', "wire/batch.h"),
    ("engine/raft/c.cc", "#include <chrono>\n", "chrono"),
    ("engine/raft/d.cc", "  #  include <thread>\n", "thread"),
    ("engine/raft/e.cc", "#include <random>\n", "random"),
    ("engine/raft/f.cc", "#include <sys/socket.h>\n", "sys/socket.h"),
    ("engine/raft/g.cc", "#include <spdlog/spdlog.h>\n", "spdlog is not for engine/raft"),
    ("engine/raft/h.cc", "#include <fmt/format.h>\n", "fmt is not for engine/raft"),
    ("engine/raft/i.cc", "/*\n*/ int f() { return ::rand (); }\n", "engine/raft/i.cc:2: rand"),
    ("engine/raft/j.cc", "thread_local int x;\n", "thread_local"),
    ("engine/raft/k.cc", '#include "helper.h"\n', "named from the root"),
    ("engine/io/a.cc", '#include <liburing.h>\n#include <thread>\n#include "wire/check.h"\n', None),
    ("engine/io/b.cc", '#include "wire/frame.h"\n', "wire/frame.h"),
    ("engine/io/c.cc", '#include "engine/shard/shard.h"\n', "engine/shard/shard.h"),
    ("engine/shard/a.cc", '#include "engine/config.h"\n#include "engine/raft/raft.h"\n', None),
    ("engine/shard/b.cc", '#include "engine/engine.h"\n', "engine/engine.h"),
    ("engine/shard/c.cc", '#include "engine/client/client.h"\n', "engine/client/client.h"),
    ("engine/client/a.cc", '#include "engine/io/io.h"\n#include "wire/batch.h"\n', None),
    ("engine/client/b.cc", '#include "engine/raft/raft.h"\n', "engine/raft/raft.h"),
    ("engine/client/c.cc", '#include "engine/config.h"\n', "engine/config.h"),
    ("engine/a.cc", '#include "engine/shard/shard.h"\n#include <fmt/format.h>\n', None),
    ("engine/config.h", '#include "engine/shard/shard.h"\n', "engine/shard/shard.h"),
    ("engine/b.cc", '#include "engine/client/router.h"\n', "engine/client/router.h"),
    ("engine/e.cc", '#include "engine/client/client.h"\n', None),
    ("engine/c.cc", '#include "tools/text.h"\n', "nothing depends on tools"),
    ("engine/d.cc", "#include <gtest/gtest.h>\n", "gtest is not for engine"),
    ("tools/a.cc", '#include "engine/engine.h"\n#include <CLI/CLI.hpp>\n', None),
]


def self_test():
    failures = []
    for path, text, expected in PLANTED:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / path
            file.parent.mkdir(parents=True)
            file.write_text(text, "utf-8")
            found, _ = check(Path(directory))
        if expected is None and found:
            failures.append(f"{path}: wrongly refused: {found}")
        if expected is not None and (len(found) != 1 or expected not in found[0]):
            failures.append(f"{path}: expected one violation naming {expected!r}, got {found}")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(PLANTED)} planted files, {len(failures)} judged wrongly")
    return 1 if failures else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    found, count = check(Path(arguments[0]))
    for line in found:
        print(line, file=sys.stderr)
    if count == 0:
        print(f"no source files below {arguments[0]}", file=sys.stderr)
        return 1
    print(f"{count} files, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
