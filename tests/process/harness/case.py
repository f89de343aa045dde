"""The base of the tests: a directory on disk, a seed, clusters that end with the test, and on a
failure everything that one needs to look into it."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

from .cluster import Cluster
from .env import BINARY, DATA_ROOT, SEED, die_with_parent, seconds
from .history import History
from .load import Load


class ProcessTest(unittest.TestCase):
    def setUp(self):
        self.assertTrue(os.access(BINARY, os.X_OK),
                        "set SLUICE_BIN to the sluice binary, or run the tests through ctest")
        os.makedirs(DATA_ROOT, exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="sluice-", dir=DATA_ROOT)
        self.random = random.Random(SEED)
        self.history = History()
        self.clusters = []
        self.loads = []
        self.reports = []
        self.addCleanup(self._clean_up)

    def _clean_up(self):
        for load in self.loads:
            load._stopping = True
        for cluster in self.clusters:
            cluster.close()
            self.reports.append(cluster.report())
        if os.environ.get("SLUICE_KEEP"):
            self.reports.append(f"data kept in {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print("\n".join([f"SLUICE_SEED={SEED}"] + getattr(self, "reports", [])),
                  file=sys.stderr, flush=True)
        return result

    # --- building blocks -----------------------------------------------------------------------

    def cluster(self, size=3, start=True, **options):
        directory = os.path.join(self.directory, f"cluster{len(self.clusters)}")
        os.mkdir(directory)
        cluster = Cluster(directory, size, **options)
        self.clusters.append(cluster)
        return cluster.start() if start else cluster

    def load(self, cluster, name, **options):
        load = Load(cluster.pipe(), self.history, name, **options)
        self.loads.append(load)
        load.start()
        return load

    def append(self, pipe, data, group=0, **fields):
        """One append, noted in the history."""
        noted = self.history.submit(group, data, fields.get("producer", 0),
                                    fields.get("sequence", 0))
        answer = pipe.append(data, group=group, **fields)
        self.history.answer(noted, answer)
        return answer

    def append_ok(self, pipe, data, group=0, **fields):
        answer = self.append(pipe, data, group, **fields)
        self.assertTrue(answer.get("ok"), f"{data}: {answer}")
        return answer

    def check(self, cluster, groups=(0,)):
        """The promise, at the end of a test: finishes the loads, reads everything from every node."""
        for load in self.loads:
            load.finish()
        logs = cluster.logs(groups)
        self.history.check(logs)
        return logs

    def sluice(self, *arguments, stdin=b"", timeout_s=30.0, check=None):
        """Runs a command to its end. `check`: the exit status that it must have."""
        done = subprocess.run([BINARY, *map(str, arguments)], input=stdin, capture_output=True,
                              timeout=seconds(timeout_s), preexec_fn=die_with_parent)
        if check is not None:
            self.assertEqual(done.returncode, check,
                             f"sluice {arguments}: {done.stderr.decode(errors='replace')}")
        return done

    def assert_one_clear_line(self, stderr):
        text = stderr.decode() if isinstance(stderr, bytes) else stderr
        lines = text.strip().splitlines()
        self.assertEqual(len(lines), 1, f"not one clear line: {text!r}")
        self.assertGreater(len(lines[0]), 15, f"not a clear line: {text!r}")
        return lines[0]
