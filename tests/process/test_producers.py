"""Producer sequences: a retry lands once, with the index and the term that the entry has."""

import unittest

from harness.case import ProcessTest
from harness.env import wait_until

REMEMBERED = 1024  # sequences of a producer, at least


class ProducerTest(ProcessTest):
    def setUp(self):
        super().setUp()
        self.nodes = self.cluster()
        self.pipe = self.nodes.pipe()

    def produce(self, sequence, producer=7, data=None, **fields):
        data = data or f"p{producer}-{sequence}"
        return self.append(self.pipe, data, producer=producer, sequence=sequence, **fields)

    def produce_ok(self, sequence, producer=7, **fields):
        answer = self.produce(sequence, producer, **fields)
        self.assertTrue(answer.get("ok"), f"sequence {sequence}: {answer}")
        return answer["index"], answer["term"]

    def produce_many(self, sequences, producer=7, **fields):
        """All in flight at once; their answers in the order of the sequences."""
        noted = []
        for sequence in sequences:
            data = f"p{producer}-{sequence}"
            append = self.history.submit(0, data, producer, sequence)
            self.pipe.submit({"op": "append", "data": data, "producer": producer,
                              "sequence": sequence, **fields},
                             lambda answer, append=append: self.history.answer(append, answer))
            noted.append((append, append.tries))
        wait_until(lambda: all(len(a.answers) >= tries for a, tries in noted), "all are answered", 40)
        return [append.answers[-1] for append, _ in noted]

    def test_s47_a_retry_of_an_acknowledged_entry_gets_its_index_and_term(self):
        first = self.produce_ok(1)
        self.assertEqual(self.produce_ok(1), first)
        self.produce_ok(2)
        self.assertEqual(self.produce_ok(1), first)
        self.check(self.nodes)

    def test_s47_a_retry_after_a_leader_change_gets_its_index_and_term(self):
        places = {sequence: self.produce_ok(sequence) for sequence in range(1, 21)}
        leader = self.nodes.wait_for_leader()
        self.nodes.nodes[leader].kill()
        for sequence, place in places.items():
            self.assertEqual(self.produce_ok(sequence, timeout_ms=15_000), place)
        self.produce_ok(21, timeout_ms=15_000)
        self.nodes.nodes[leader].start()
        self.check(self.nodes)

    def test_a_retry_after_all_nodes_restarted_gets_its_index_and_term(self):
        places = {sequence: self.produce_ok(sequence) for sequence in range(1, 21)}
        for node in self.nodes.nodes.values():
            node.kill()
        for node in self.nodes.nodes.values():
            node.start()
        for sequence, place in places.items():
            self.assertEqual(self.produce_ok(sequence, timeout_ms=15_000), place)
        self.produce_ok(21)
        self.check(self.nodes)

    def test_s48_an_append_without_a_majority_is_unknown_and_its_retry_lands_once(self):
        self.produce_ok(1)
        leader = self.nodes.wait_for_leader()
        others = [n for i, n in self.nodes.nodes.items() if i != leader]
        for node in others:
            node.pause()
        answer = self.produce(2, timeout_ms=700)
        self.assertEqual((answer["ok"], answer["error"]), (False, "unknown"), answer)
        for node in others:
            node.resume()
        place = self.produce_ok(2, timeout_ms=15_000)
        self.assertEqual(self.produce_ok(2), place)
        self.produce_ok(3)
        logs = self.check(self.nodes)
        self.assertEqual([e["data"] for e in logs[0][1] if not e.get("internal")],
                         ["p7-1", "p7-2", "p7-3"])

    def test_the_leader_that_took_it_dies_and_the_retry_lands_once(self):
        """The entry is on the old leader's disk alone, which comes back later."""
        self.produce_ok(1)
        leader = self.nodes.wait_for_leader()
        others = [n for i, n in self.nodes.nodes.items() if i != leader]
        for node in others:
            node.pause()
        answer = self.produce(2, timeout_ms=700)
        self.assertEqual(answer["error"], "unknown", answer)
        self.nodes.nodes[leader].kill()
        for node in others:
            node.resume()
        place = self.produce_ok(2, timeout_ms=20_000)
        self.produce_ok(3, timeout_ms=20_000)
        self.nodes.nodes[leader].start()
        self.nodes.wait_until_equal()
        self.assertEqual(self.produce_ok(2), place)
        self.check(self.nodes)

    def test_two_of_the_same_in_flight_land_once(self):
        for producer in range(100, 120):
            answers = self.produce_many([1, 1, 1], producer)
            self.assertTrue(all(a["ok"] for a in answers), answers)
            self.assertEqual(len({(a["index"], a["term"]) for a in answers}), 1, answers)
        self.check(self.nodes)

    def test_a_gap_is_refused_with_the_expected_sequence(self):
        self.produce_ok(1)
        answer = self.produce(5)
        self.assertEqual((answer["ok"], answer["error"], answer["code"]),
                         (False, "refused", "sequence_gap"), answer)
        self.assertEqual(answer["expected_sequence"], 2, answer)
        self.produce_ok(2)
        self.check(self.nodes)

    def test_a_producer_not_seen_before_may_start_anywhere(self):
        for producer, sequence in ((1, 1000), (2, 1), (3, 2**63), (2**64 - 1, 5)):
            self.produce_ok(sequence, producer)
            self.produce_ok(sequence + 1, producer)
        answer = self.produce(999, 1)
        self.assertFalse(answer["ok"], answer)
        self.assertEqual(answer["code"], "sequence_too_old", answer)
        self.check(self.nodes)

    def test_s60_the_last_sequence_of_all_does_not_wrap(self):
        answer = self.produce(2**64 - 1, 5)
        self.assertEqual(answer.get("error", "refused"), "refused", answer)
        self.assertTrue(self.nodes.wait_for_leader())
        self.produce_ok(1, 6)
        self.check(self.nodes)

    def test_the_last_1024_are_remembered_and_older_ones_never_land_again(self):
        count = REMEMBERED + 500
        answers = self.produce_many(range(1, count + 1))
        self.assertTrue(all(a["ok"] for a in answers), [a for a in answers if not a["ok"]][:3])
        places = {s + 1: (a["index"], a["term"]) for s, a in enumerate(answers)}
        for sequence in (count, count - REMEMBERED // 2, count - REMEMBERED + 1):
            self.assertEqual(self.produce_ok(sequence), places[sequence])
        answer = self.produce(1)
        if answer["ok"]:  # remembered for longer than it must be
            self.assertEqual((answer["index"], answer["term"]), places[1])
        else:
            self.assertEqual((answer["error"], answer["code"]), ("refused", "sequence_too_old"))
        self.check(self.nodes)

    def test_pipelined_sequences_enter_in_order_through_a_leader_change(self):
        load = self.load(self.nodes, "ordered", producer=77, window=64, rate=3000, timeout_ms=8000)
        for _ in range(3):
            load.wait_for(500)
            leader = self.nodes.wait_for_leader()
            self.nodes.nodes[leader].kill()
            load.wait_for(200)
            self.nodes.nodes[leader].start()
        self.check(self.nodes)

    def test_the_client_sends_again_by_itself_when_there_is_a_producer(self):
        """Without `node` and with a producer, an append survives a leader change unseen."""
        leader = self.nodes.wait_for_leader()
        self.produce_ok(1)
        self.nodes.nodes[leader].kill()
        answers = self.produce_many(range(2, 30), timeout_ms=20_000)
        self.assertTrue(all(a["ok"] for a in answers), answers[:3])
        self.nodes.nodes[leader].start()
        self.check(self.nodes)

    def test_each_group_has_sequences_of_its_own(self):
        cluster = self.cluster(groups=2)
        pipe = cluster.pipe()
        for group in (0, 1):
            self.append_ok(pipe, f"g{group}", group, producer=4, sequence=10, timeout_ms=15_000)
        self.append_ok(pipe, "g0 again", 0, producer=4, sequence=11)
        answer = self.append(pipe, "g1 gap", 1, producer=4, sequence=12)
        self.assertEqual((answer.get("code"), answer.get("expected_sequence")), ("sequence_gap", 11))


if __name__ == "__main__":
    unittest.main()
