"""The checker itself: a promise that is broken on purpose is seen. No node runs here."""

import unittest

from harness.history import History


def entry(index, data, term=1):
    return {"index": index, "term": term, "data": data}


def ok(index, term=1):
    return {"ok": True, "index": index, "term": term}


REFUSED = {"ok": False, "error": "refused", "code": "overloaded"}
UNKNOWN = {"ok": False, "error": "unknown"}


class HistoryTest(unittest.TestCase):
    def setUp(self):
        self.history = History()

    def tried(self, data, *answers, producer=0, sequence=0):
        for answer in answers:
            noted = self.history.submit(0, data, producer, sequence)
            self.history.answer(noted, answer)
        return noted

    def problems(self, log, *others):
        logs = {1: log, **{i + 2: other for i, other in enumerate(others)}}
        return self.history.problems({0: logs})

    def test_a_log_that_keeps_the_promise_has_no_problems(self):
        self.tried("a", ok(2))
        self.tried("b", UNKNOWN)
        self.tried("c", REFUSED)
        self.tried("d", UNKNOWN, ok(3, 2), producer=7, sequence=1)
        internal = {"index": 1, "term": 1, "internal": True}
        log = [internal, entry(2, "a"), entry(3, "d", 2)]
        self.assertEqual(self.problems(log, list(log)), [])
        log += [entry(4, "b", 2)]
        self.assertEqual(self.problems(log), [])

    def test_an_acknowledged_entry_that_is_lost_is_seen(self):
        self.tried("a", ok(1))
        self.tried("b", ok(2))
        self.assertIn("found at []", self.problems([entry(1, "a")])[0])

    def test_an_acknowledged_entry_at_another_index_or_term_is_seen(self):
        self.tried("a", ok(2))
        self.assertTrue(self.problems([entry(1, "a")]))
        self.assertTrue(self.problems([entry(2, "a", term=2)]))

    def test_an_entry_that_landed_twice_is_seen(self):
        self.tried("a", UNKNOWN)
        self.assertIn("more than once", self.problems([entry(1, "a"), entry(2, "a")])[0])

    def test_two_answers_that_differ_are_seen(self):
        self.tried("a", ok(1), ok(2), producer=1, sequence=1)
        self.assertTrue(self.problems([entry(1, "a")]))

    def test_a_refused_entry_in_the_log_is_seen(self):
        self.tried("a", REFUSED)
        self.assertIn("refused, but in the log", self.problems([entry(1, "a")])[0])

    def test_an_entry_refused_after_an_unknown_try_may_be_there(self):
        self.tried("a", UNKNOWN, REFUSED, producer=1, sequence=1)
        self.assertEqual(self.problems([entry(1, "a")]), [])

    def test_an_entry_of_nobody_is_seen(self):
        self.assertIn("nobody appended", self.problems([entry(1, "x")])[0])

    def test_nodes_that_differ_are_seen(self):
        self.tried("a", UNKNOWN)
        self.assertTrue(self.problems([entry(1, "a")], []))
        self.assertTrue(self.problems([entry(1, "a")], [entry(1, "a", term=2)]))

    def test_a_gap_and_a_falling_term_are_seen(self):
        for data in "ab":
            self.tried(data, UNKNOWN)
        self.assertTrue(self.problems([entry(1, "a"), entry(3, "b")]))
        self.assertTrue(self.problems([entry(1, "a", term=2), entry(2, "b", term=1)]))

    def test_an_entry_before_one_that_was_acknowledged_earlier_is_seen(self):
        first = self.tried("a", ok(2))
        second = self.tried("b", ok(1))
        first.answered_at, second.submitted_at = 10.0, 11.0
        self.assertIn("submitted after", self.problems([entry(1, "b"), entry(2, "a")])[0])

    def test_a_producer_out_of_order_is_seen(self):
        self.tried("a", UNKNOWN, producer=7, sequence=1)
        self.tried("b", UNKNOWN, producer=7, sequence=2)
        self.assertIn("out of sequence", self.problems([entry(1, "b"), entry(2, "a")])[0])

    def test_a_read_that_turned_out_untrue_is_seen(self):
        self.tried("a", UNKNOWN)
        self.history.saw(2, 0, [entry(1, "a")])
        self.assertEqual(self.problems([entry(1, "a")]), [])
        self.assertIn("showed", self.problems([{"index": 1, "term": 2, "internal": True}])[0])


if __name__ == "__main__":
    unittest.main()
