"""`sluice pipe`: requests and answers as JSON lines, many in flight."""

import json
import subprocess
import threading

from .env import BINARY, die_with_parent, seconds

DEFAULT_TIMEOUT_MS = 5000


class Pipe:
    def __init__(self, addresses, log_path, *arguments):
        self._log = open(log_path, "ab")
        self.process = subprocess.Popen(
            [BINARY, "pipe", "--cluster", ",".join(addresses), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            preexec_fn=die_with_parent)
        self._lock = threading.Lock()
        self._waiting = {}
        self._last_id = 0
        self._ended = None  # why no answer comes any more
        self.strays = []  # answers to nothing that was asked
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def submit(self, request, on_answer):
        """Sends one request; on_answer(answer) is called from the reader's thread, exactly once."""
        with self._lock:
            if self._ended:
                raise AssertionError(f"sluice pipe is gone: {self._ended}")
            self._last_id += 1
            self._waiting[self._last_id] = on_answer
            line = json.dumps({"id": self._last_id, **request})
            try:
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()
            except OSError as error:
                raise AssertionError(f"sluice pipe is gone: {error}") from error

    def _read(self):
        why = "it closed its output"
        try:
            for line in self.process.stdout:
                answer = json.loads(line)
                with self._lock:
                    on_answer = self._waiting.pop(answer.get("id"), None)
                if on_answer:
                    on_answer(answer)
                else:
                    self.strays.append(answer)
        except ValueError as error:
            why = f"its output is not JSON: {error}: {line[:200]!r}"
        with self._lock:
            self._ended = why
            left, self._waiting = self._waiting, {}
        for on_answer in left.values():
            on_answer({"ok": False, "error": "pipe ended", "message": why})

    def ask(self, request, wait_s=None):
        """One request, one answer."""
        done = threading.Event()
        box = []

        def on_answer(answer):
            box.append(answer)
            done.set()

        self.submit(request, on_answer)
        if wait_s is None:  # the pipe itself must answer within the request's own time-out
            wait_s = request.get("timeout_ms", DEFAULT_TIMEOUT_MS) / 1000 + 5
        if not done.wait(seconds(wait_s)):
            raise AssertionError(f"no answer within {seconds(wait_s):.0f} s to {request}")
        return box[0]

    def append(self, data, **fields):
        return self.ask({"op": "append", "data": data, **fields})

    def read(self, **fields):
        return self.ask({"op": "read", **fields})

    def status(self, node, timeout_ms=1000):
        return self.ask({"op": "status", "node": node, "timeout_ms": timeout_ms})

    def close(self):
        """Ends the input; the pipe must then answer what is left and exit with 0."""
        with self._lock:
            self.process.stdin.close()
        try:
            return self.process.wait(seconds(20))
        finally:
            self._reader.join(seconds(5))
            self._log.close()

    def destroy(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(seconds(20))
        self._reader.join(seconds(5))
        for stream in (self.process.stdin, self.process.stdout, self._log):
            try:
                stream.close()
            except OSError:
                pass
