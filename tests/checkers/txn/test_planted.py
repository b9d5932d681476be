"""One anomaly of each kind, planted at the first version of its keys and in mid-chain, is found, named and told."""

from __future__ import annotations

import pytest

from checkers.models import STRICT_SERIALIZABLE, TRANSACTIONAL, rules_out
from tests.checkers.txn.txns import Txns

BEFORE = [[], [1, 2, 3]]  # what x and y hold already


class Lists(Txns):
    """With two keys on which something was appended before, and read."""

    def __init__(self, before):
        super().__init__("list-append")
        self.before = before
        for value in before:
            self.txn(0, f"a x {value}; a y {value}")
        self.txn(0, f"r x {before}; r y {before}")

    def list(self, *more):
        return [*self.before, *more]


class Registers(Txns):
    def __init__(self, before):
        super().__init__("rw-register")
        self.last = "nil"
        for value in before:
            self.txn(0, f"r x {self.last}; w x {value}; r y {self.last}; w y {value}")
            self.last = value


def sound(h):
    h.begin(1, f"a x 7; r y {h.list()}").begin(2, f"r x {h.list(7)}; a y 8").end(1).end(2)
    return h.txn(3, f"r x {h.list(7)}; r y {h.list(8)}")


def sound_info(h):
    return h.txn(1, "a x 7", "info").txn(2, f"r x {h.list()}").txn(3, f"r x {h.list(7)}; a x 8").txn(4, "a x 9", "fail")


def g0(h):
    h.begin(1, "a x 7; a y 7").begin(2, "a x 8; a y 8").end(1).end(2)
    return h.txn(3, f"r x {h.list(7, 8)}").txn(4, f"r y {h.list(8, 7)}")


def g0_interleaved(h):
    h.begin(1, "a x 7; a x 8").begin(2, "a x 9").end(1).end(2)
    return h.txn(3, f"r x {h.list(7, 9, 8)}")


def g0_process(h):
    return h.txn(1, "a x 8").txn(1, "a x 7").txn(2, f"r x {h.list(7, 8)}")


def g0_realtime(h):
    return h.txn(1, "a x 8").txn(2, "a x 7").begin(3, f"r x {h.list(7, 8)}").end(3)


def g1a(h):
    return h.txn(1, "a x 7", "fail").txn(2, f"r x {h.list(7)}")


def g1b(h):
    return h.begin(1, "a x 7; a x 8").begin(2, f"r x {h.list(7)}").end(1).end(2).txn(3, f"r x {h.list(7, 8)}")


def g1c(h):
    h.begin(1, f"a x 7; r y {h.list(7)}").begin(2, f"a y 7; r x {h.list(7)}")
    return h.end(1).end(2)


def g1c_process(h):
    return h.txn(1, f"r x {h.list(7)}").txn(1, "a x 7")


def g1c_realtime(h):
    return h.txn(1, f"r x {h.list(7)}").txn(2, "a x 7")


def g_single(h):
    h.begin(1, f"r x {h.list()}; r y {h.list(7)}").begin(2, "a x 7; a y 7").end(2).end(1)
    return h.txn(3, f"r x {h.list(7)}")


def g_single_process(h):
    return h.txn(1, "a x 7").txn(1, f"r x {h.list()}").txn(2, f"r x {h.list(7)}")


def g_single_realtime(h):
    return h.txn(1, "a x 7").txn(2, f"r x {h.list()}").txn(3, f"r x {h.list(7)}")


def g_nonadjacent(h):
    h.begin(1, "a x 7").begin(2, "a y 7")
    h.begin(3, f"r x {h.list(7)}; r y {h.list()}").begin(4, f"r x {h.list()}; r y {h.list(7)}")
    return h.end(1).end(2).end(3).end(4)


def g_nonadjacent_process(h):
    h.begin(1, "a x 7").begin(2, "a y 7").end(1).end(2)
    return h.txn(1, f"r y {h.list()}").txn(2, f"r x {h.list()}").txn(3, f"r x {h.list(7)}; r y {h.list(7)}")


def g2_item(h):
    h.begin(1, f"r x {h.list()}; a y 7").begin(2, f"r y {h.list()}; a x 7").end(1).end(2)
    return h.txn(3, f"r x {h.list(7)}; r y {h.list(7)}")


def g_nonadjacent_realtime(h):
    h.begin(1, "a x 7").begin(2, f"r x {h.list(7)}; r y {h.list()}").txn(3, "a y 7").txn(4, f"r x {h.list()}")
    return h.end(1).end(2).txn(5, f"r x {h.list(7)}; r y {h.list(7)}")


def g2_item_process(h):
    h.begin(2, f"r y {h.list()}; a x 7").txn(1, "a y 7").txn(1, f"r x {h.list()}").end(2)
    return h.txn(3, f"r x {h.list(7)}; r y {h.list(7)}")


def g2_item_realtime(h):
    h.begin(2, f"r y {h.list()}; a x 7").txn(1, "a y 7").txn(4, f"r x {h.list()}").end(2)
    return h.txn(3, f"r x {h.list(7)}; r y {h.list(7)}")


def internal(h):
    return h.txn(1, f"a x 7; r x {h.list()}").txn(2, f"r x {h.list(7)}")


def internal_reads(h):
    return h.begin(1, "a x 7").begin(2, f"r x {h.list()}; r x {h.list(7)}").end(1).end(2)


def dirty_update(h):
    return h.txn(1, "a x 7", "fail").txn(2, "a x 8").txn(3, f"r x {h.list(7, 8)}")


def lost_update(h):
    h.begin(1, f"r x {h.list()}; a x 7").begin(2, f"r x {h.list()}; a x 8").end(1).end(2)
    return h.txn(3, f"r x {h.list(7, 8)}")


def lost_update_unseen(h):
    return h.begin(1, f"r x {h.list()}; a x 7").begin(2, f"r x {h.list()}; a x 8").end(1).end(2)


def duplicate(h):
    return h.txn(1, "a x 7").txn(2, f"r x {h.list(7, 7)}")


def incompatible(h):
    h.begin(1, "a x 7").begin(2, "a x 8").end(1).end(2)
    return h.txn(3, f"r x {h.list(7)}").txn(4, f"r x {h.list(8)}")


def own_order(h):
    return h.txn(1, "a x 7; a x 8").txn(2, f"r x {h.list(8, 7)}")


def future_read(h):
    return h.txn(1, f"r x {h.list(7)}; a x 7")


def garbage(h):
    return h.txn(1, f"r x {h.list(7)}")


LIST_ANOMALIES = [
    (g0, "G0"),
    (g0_interleaved, "G0"),
    (g0_process, "G0-process"),
    (g0_realtime, "G0-realtime"),
    (g1a, "G1a"),
    (g1b, "G1b"),
    (g1c, "G1c"),
    (g1c_process, "G1c-process"),
    (g1c_realtime, "G1c-realtime"),
    (g_single, "G-single"),
    (g_single_process, "G-single-process"),
    (g_single_realtime, "G-single-realtime"),
    (g_nonadjacent, "G-nonadjacent"),
    (g_nonadjacent_process, "G-nonadjacent-process"),
    (g_nonadjacent_realtime, "G-nonadjacent-realtime"),
    (g2_item, "G2-item"),
    (g2_item_process, "G2-item-process"),
    (g2_item_realtime, "G2-item-realtime"),
    (internal, "internal"),
    (internal_reads, "internal"),
    (dirty_update, "dirty-update"),
    (lost_update, "lost-update"),
    (lost_update_unseen, "lost-update"),
    (duplicate, "duplicate-elements"),
    (incompatible, "incompatible-order"),
    (own_order, "incompatible-order"),
    (future_read, "future-read"),
    (garbage, "garbage-read"),
]


def shows(verdict, name):
    assert verdict.valid is False
    assert name in verdict.counts
    anomaly = next(each for each in verdict.anomalies if each.name == name)
    assert anomaly.explanation.startswith(f"{name}: ")
    assert anomaly.rules_out == rules_out(name)
    assert not any(verdict.models[model] for model in anomaly.rules_out)
    return anomaly


@pytest.mark.parametrize("before", BEFORE, ids=["first", "mid-chain"])
@pytest.mark.parametrize("make", [sound, sound_info])
def test_sound_lists_are_valid(make, before):
    verdict = make(Lists(before)).judge()
    assert verdict.valid is True
    assert not verdict.counts
    assert set(verdict.models) == set(TRANSACTIONAL)


@pytest.mark.parametrize("before", BEFORE, ids=["first", "mid-chain"])
@pytest.mark.parametrize(("make", "name"), LIST_ANOMALIES, ids=[make.__name__ for make, _ in LIST_ANOMALIES])
def test_lists(make, name, before):
    anomaly = shows(make(Lists(before)).judge(), name)
    assert "x" in anomaly.explanation


def rw_sound(h):
    return h.begin(1, f"r x {h.last}; w x 7").begin(2, "r x 7; w y 8").end(1).end(2).txn(3, "r x 7; r y 8")


def rw_sound_info(h):
    return h.txn(1, "w x 7", "info").txn(2, f"r x {h.last}").txn(3, "r x 7; w x 8").txn(4, "w x 9", "fail")


def rw_g1a(h):
    return h.txn(1, "w x 7", "fail").txn(2, "r x 7")


def rw_g1b(h):
    return h.begin(1, "w x 7; w x 8").begin(2, "r x 7").end(1).end(2)


def rw_g1c(h):
    return h.begin(1, "w x 7; r y 7").begin(2, "w y 7; r x 7").end(1).end(2)


def rw_internal(h):
    return h.txn(1, f"w x 7; r x {h.last}")


def rw_future(h):
    return h.txn(1, "r x 7; w x 7")


def rw_garbage(h):
    return h.txn(1, "r x 7")


def rw_lost_update(h):
    return h.begin(1, f"r x {h.last}; w x 7").begin(2, f"r x {h.last}; w x 8").end(1).end(2)


def rw_circle(h):
    return h.begin(1, "r x 8; w x 7").begin(2, "r x 7; w x 8").end(1).end(2)


def rw_stale(h):
    return h.txn(1, f"r x {h.last}; w x 7").txn(2, f"r x {h.last}")


def rw_skew(h):
    h.begin(1, f"r x {h.last}; r y {h.last}; w y 7").begin(2, f"r x {h.last}; r y {h.last}; w x 7")
    return h.end(1).end(2)


def rw_blind(h):
    """Two blind writes of one key: whichever came first, one reader has missed the other."""
    h.begin(1, "w x 7; w y 7").begin(2, "w x 8; w y 8").begin(3, "r x 7; r y 8").begin(4, "r x 8; r y 7")
    return h.end(1).end(2).end(3).end(4)


REGISTER_ANOMALIES = [
    (rw_g1a, "G1a"),
    (rw_g1b, "G1b"),
    (rw_g1c, "G1c"),
    (rw_internal, "internal"),
    (rw_future, "future-read"),
    (rw_garbage, "garbage-read"),
    (rw_lost_update, "lost-update"),
    (rw_circle, "cyclic-versions"),
    (rw_stale, "G-single-realtime"),
    (rw_skew, "G2-item"),
]


@pytest.mark.parametrize("before", BEFORE, ids=["first", "mid-chain"])
@pytest.mark.parametrize("make", [rw_sound, rw_sound_info])
def test_sound_registers_are_valid(make, before):
    verdict = make(Registers(before)).judge()
    assert verdict.valid is True
    assert not verdict.counts


@pytest.mark.parametrize("before", BEFORE, ids=["first", "mid-chain"])
@pytest.mark.parametrize(("make", "name"), REGISTER_ANOMALIES, ids=[make.__name__ for make, _ in REGISTER_ANOMALIES])
def test_registers(make, name, before):
    anomaly = shows(make(Registers(before)).judge(), name)
    assert "x" in anomaly.explanation


@pytest.mark.parametrize("before", BEFORE, ids=["first", "mid-chain"])
def test_blind_writes_that_no_order_explains(before):
    verdict = rw_blind(Registers(before)).judge()
    assert verdict.models["read-committed"] is True
    assert verdict.models["serializable"] is False
    assert verdict.anomalies
    assert verdict.valid is False


def test_only_the_first_ten_of_each_are_shown_and_all_are_counted():
    h = Lists([])
    for number in range(30):
        h.txn(1, f"r x [{number + 100}]")
    verdict = h.judge(models=(STRICT_SERIALIZABLE,))
    assert verdict.counts["garbage-read"] == 30
    assert sum(anomaly.name == "garbage-read" for anomaly in verdict.anomalies) == 10


@pytest.mark.parametrize("family", ["list-append", "rw-register"])
def test_a_value_that_was_written_twice_and_read_makes_the_verdict_unknown(family):
    write, read = ("a", "[7]") if family == "list-append" else ("w", "7")
    h = Txns(family).txn(1, f"{write} x 7").txn(2, f"{write} x 7")
    assert h.judge().valid is True
    verdict = h.txn(3, f"r x {read}").judge()
    assert verdict.valid == "unknown"
    assert set(verdict.models.values()) == {"unknown"}
    assert '7 was written to key "x" more than once' in verdict.note
    failed = Txns(family).txn(1, f"{write} x 7", "fail").txn(2, f"{write} x 7").txn(3, f"r x {read}")
    assert failed.judge().valid is True


def told(verdict, name):
    return next(anomaly for anomaly in verdict.anomalies if anomaly.name == name).explanation


def test_the_words_quote_the_operations():
    assert told(g1a(Lists([])).judge(), "G1a") == (
        'G1a: T4 (index 4, process 2: read key "x" as [7]) read key "x" as [7], '
        'but 7 was appended by T2 (index 2, process 1: append 7 to key "x"), which failed.'
    )
    assert told(dirty_update(Lists([])).judge(), "dirty-update") == (
        'dirty-update: T2 (index 2, process 1: append 7 to key "x") failed, but '
        'T4 (index 4, process 2: append 8 to key "x") appended 8 to key "x" on top of its 7: T6 read [7 8].'
    )
    cycle = told(g_single_realtime(Lists([1])).judge(), "G-single-realtime")
    assert 'T6 read key "x" as [1], without 7, which T4 appended. T4 had completed at 0.005000 s (index 5)' in cycle
    cycle = told(rw_stale(Registers([1])).judge(), "G-single-realtime")
    assert 'T4 read key "x" as 1, which T2 overwrote with 7. T2 had completed' in cycle


def test_the_words_of_long_values_and_transactions_are_short():
    h = Txns().txn(1, f"a x {'v' * 1000}; " + "; ".join(f"a y {number}" for number in range(50)))
    h.txn(2, f"r y {list(range(49))}; r x nil")
    text = told(h.judge(), "G1b")
    assert "[0 1 … 42 43 44 45 46 47 48]" in text
    assert "and 46 more" in text
    assert len(text) < 700
