"""A client that appends all the time, in a thread, and notes every outcome."""

import threading
import time

from .env import seconds, wait_until


class Load(threading.Thread):
    """Keeps `window` appends in flight, at most `rate` a second.

    Without a producer, each entry is tried once. With one, an entry that was not acknowledged is
    tried again with its sequence until it is: as a careful program would, in order, and with nothing
    new in between.
    """

    def __init__(self, pipe, history, name, group=0, producer=0, window=32, rate=2000,
                 entry_bytes=40, timeout_ms=2000, node=None):
        super().__init__(name=name, daemon=True)
        self.pipe, self.history = pipe, history
        self.group, self.producer, self.node = group, producer, node
        self.window, self.rate, self.timeout_ms = window, rate, timeout_ms
        self.entry_bytes = entry_bytes
        self.acknowledged = 0
        self.error = None
        self._made = 0
        self._in_flight = 0
        self._failed = []  # with a producer: to be tried again
        self._changed = threading.Condition()
        self._stopping = False

    def run(self):
        try:
            while not self._stopping:
                self._submit(self._new())
                self._wait_for_room()
                time.sleep(1 / self.rate)
            self._drain()
        except AssertionError as error:
            self.error = error

    def _new(self):
        self._made += 1
        data = f"{self.name}-{self._made:07d}-".ljust(self.entry_bytes, ".")
        return data, self._made if self.producer else 0

    def _submit(self, entry):
        data, sequence = entry
        request = {"op": "append", "group": self.group, "data": data, "timeout_ms": self.timeout_ms}
        if self.producer:
            request.update(producer=self.producer, sequence=sequence)
        if self.node:
            request.update(node=self.node)
        append = self.history.submit(self.group, data, self.producer, sequence)
        with self._changed:
            self._in_flight += 1

        def on_answer(answer):
            self.history.answer(append, answer)
            with self._changed:
                self._in_flight -= 1
                if answer.get("ok"):
                    self.acknowledged += 1
                elif self.producer:
                    self._failed.append(entry)
                self._changed.notify_all()

        self.pipe.submit(request, on_answer)

    def _wait_for_room(self):
        with self._changed:
            self._wait(lambda: self._in_flight < self.window or self._failed)
        if self._failed:
            self._drain()

    def _wait(self, condition):
        longest = seconds(self.timeout_ms / 1000 + 20)
        if not self._changed.wait_for(condition, longest):
            raise AssertionError(f"{self.name}: {self._in_flight} appends without an outcome "
                                 f"{longest:.0f} s after their time-out of {self.timeout_ms} ms")

    def _drain(self):
        """Until nothing is in flight, and with a producer until everything is acknowledged."""
        deadline = time.monotonic() + seconds(60)
        while True:
            with self._changed:
                self._wait(lambda: self._in_flight == 0)
                again, self._failed = sorted(self._failed, key=lambda e: e[1]), []
            if not again:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: not acknowledged after many tries: {again[:3]}")
            time.sleep(0.02)
            for entry in again:
                self._submit(entry)

    def wait_for(self, count, timeout_s=30.0):
        """Waits for `count` more acknowledgements than there are now."""
        goal = self.acknowledged + count

        def reached():
            if self.error:
                raise self.error
            return self.acknowledged >= goal

        wait_until(reached, f"{self.name} has {goal} acknowledgements ({self.acknowledged} now)",
                   timeout_s)

    def finish(self):
        """Stops, waits for every outcome, and reports what went wrong."""
        self._stopping = True
        self.join(seconds(120))
        if self.is_alive():
            raise AssertionError(f"{self.name} does not end")
        if self.error:
            raise self.error
