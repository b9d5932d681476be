"""Sets: against the definition, element by element, and one planted anomaly of each kind."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.collections.kind import SET
from harness.exit_codes import UsageError
from tests.checkers.collections.writing import Writer, calls, interleaved, judge, only


def begin(draw, number):
    return draw(st.sampled_from([("add", draw(st.integers(0, 4))), ("read", None)]))


def finish(draw, f, value, kind):
    return draw(st.lists(st.integers(0, 5), max_size=5)) if f == "read" and kind == "ok" else value


def truth(ops):
    """The counts, from the definitions."""
    own = calls(ops)
    adds = [(c, b.value, i, j) for b, c, i, j in own if b.f == "add"]
    reads = [(c.value, i, j) for b, c, i, j in own if b.f == "read" and c is not None and c.type == "ok"]
    found = {"lost": 0, "unexpected": 0, "duplicated": 0}
    for values, _, done in reads:
        for element in set(values):
            found["duplicated"] += values.count(element) > 1
            tried = [a for a in adds if a[1] == element and (a[0] is None or a[0].type != "fail") and a[2] < done]
            found["unexpected"] += not tried
    if reads:
        last = max(reads, key=lambda read: read[1])
        for element in {a[1] for a in adds if a[0] is None or a[0].type != "fail"}:
            known = [j for c, v, _, j in adds if v == element and c is not None and c.type == "ok"]
            known += [j for values, _, j in reads if element in values]
            found["lost"] += bool(known) and min(known) < last[1] and element not in last[0]
    return {name: count for name, count in found.items() if count}


@settings(max_examples=600, derandomize=True, deadline=None)
@given(interleaved(begin, finish))
def test_sets_are_judged_by_the_definition(ops):
    verdict = judge(SET, ops)
    assert verdict.counts == truth(ops)
    read = any(op.f == "read" and op.type == "ok" for op in ops)
    assert verdict.valid is (not verdict.counts if read else "unknown")


@settings(max_examples=300, derandomize=True, deadline=None)
@given(interleaved(begin, finish), st.permutations(range(6)), st.permutations(range(3, 30)))
def test_new_names_change_nothing(ops, values, processes):
    def other(value):
        if isinstance(value, list):
            return [other(each) for each in value]
        return None if value is None else f"e{values[value]}"

    renamed = [op.replace(process=processes[op.process], value=other(op.value)) for op in ops]
    first, second = judge(SET, ops), judge(SET, renamed)
    assert (first.valid, first.counts, first.details) == (second.valid, second.counts, second.details)


def filled(count):
    world = Writer()
    for element in range(count):
        world.do(0, "add", element)
    return world


@pytest.mark.parametrize("lost", [0, 7, 14])
def test_a_lost_element(lost):
    found = only(judge(SET, filled(15).do(1, "read", None, [each for each in range(15) if each != lost]).ops))
    assert found.name == "lost"
    assert found.ops == [2 * lost, 30]
    assert (
        f"the add of {lost} by process 0 (index {2 * lost}) was acknowledged at index {2 * lost + 1}"
        in found.explanation
    )


def test_an_element_that_was_seen_and_is_gone():
    world = Writer().begin(0, "add", 1).do(1, "read", None, [1]).do(1, "read", None, [])
    found = only(judge(SET, world.end(0, None, "info").ops))
    assert "was seen by a read" in found.explanation


def test_an_element_that_comes_late_is_stale():
    verdict = judge(SET, filled(3).do(1, "read", None, [0, 1]).do(1, "read", None, [0, 1, 2]).ops)
    assert verdict.valid is True
    assert verdict.details["stale"] == 1


def test_an_element_that_was_never_asked_for():
    verdict = judge(SET, filled(3).do(1, "read", None, [0, 1, 2]).do(0, "add", 3).ops)
    assert verdict.valid is True
    assert verdict.details["never_read"] == 1


@pytest.mark.parametrize("before", [0, 9])
def test_what_nobody_added(before):
    found = only(judge(SET, filled(before).do(1, "read", None, [*range(before), 77]).ops))
    assert found.name == "unexpected"
    assert "found 77, which nobody had tried to add." in found.explanation


def test_what_failed_or_came_later():
    world = filled(2).do(0, "add", 8, kind="fail").do(1, "read", None, [0, 1, 8])
    assert "which had failed" in only(judge(SET, world.ops)).explanation
    later = filled(2).do(1, "read", None, [0, 1, 8]).do(0, "add", 8).do(1, "read", None, [0, 1, 8])
    assert "which came later" in only(judge(SET, later.ops)).explanation


@pytest.mark.parametrize("twice", [0, 4])
def test_an_element_that_stands_twice(twice):
    found = only(judge(SET, filled(5).do(1, "read", None, [0, 1, 2, 3, 4, twice]).ops))
    assert found.name == "duplicated"
    assert f"found {twice} more than once" in found.explanation


def test_names_are_elements_too():
    ops = Writer().do(0, "add", "a").do(0, "add", True).do(0, "add", 1).do(1, "read", None, [1, True, "a"]).ops
    assert judge(SET, ops).valid is True


@pytest.mark.parametrize(("f", "value", "result"), [("add", [1], None), ("read", None, 3), ("read", None, [[1]])])
def test_what_is_no_set_is_refused(f, value, result):
    with pytest.raises(UsageError):
        judge_anything(Writer().do(0, f, value, result).ops)


def judge_anything(ops):
    from harness.history import History

    return History.from_ops(ops, SET.encoder())
