"""Random histories in Jepsen's EDN, in many layouts, and random operations of ours."""

from __future__ import annotations

from hypothesis import strategies as st

from harness.op import FAIL, INFO, INVOKE, NEMESIS, OK, Op

numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 40)
words = st.sampled_from(["r", "w", "append", "value", "f", "ok", "read", "nemesis", "nil", "null", "a-b", "x/y", "r2"])

# Texts of EDN. Most can also be JSON after a replacement of bytes, some cannot, some are neither.
atoms = (
    numbers.map(str)
    | words.map(":{}".format)
    | st.sampled_from(
        ["nil", "true", "false", "null", "1.5", "-0", "1e3", "12N", "3/4", "2M", "foo", "\\a", "nilly", ":", "+7",
         "007", '"a b"', '":r 1 nil"', '"\\u00e9\\n"', "##NaN", "#{}", "#{3 1 2}",
         "()", "(1 2)", "12345678901234567890"]
    )
)  # fmt: skip


integer_maps = st.tuples(
    st.lists(st.tuples(numbers, st.none() | numbers), min_size=1, max_size=3),
    st.sampled_from([", ", ", ", " ", ",", "  "]),
).map(lambda drawn: "{" + drawn[1].join(f"{key} {'nil' if value is None else value}" for key, value in drawn[0]) + "}")


def _collections(inner):
    vectors = st.lists(inner, max_size=4).flatmap(
        lambda items: st.sampled_from([" ", ", ", "  ", " ,", ""]).map(lambda gap: f"[{gap.join(items)}]")
    )
    maps = st.lists(st.tuples(words.map(":{}".format) | numbers.map(str), inner), max_size=3).map(
        lambda pairs: "{" + ", ".join(f"{key} {value}" for key, value in pairs) + "}"
    )
    micro = st.tuples(st.sampled_from([":r", ":w", ":append"]), numbers.map(str), inner).map(
        lambda parts: f"[{' '.join(parts)}]"
    )
    return vectors | maps | micro | integer_maps


edn_values = st.recursive(atoms, _collections, max_leaves=8)


@st.composite
def edn_ops(draw, index: int) -> str:
    """One operation's text: usually whole and simple, sometimes odd in one way."""
    fields = {
        "index": str(index),
        "time": str(draw(st.integers(-1, 10**12))),
        "type": draw(st.sampled_from([":invoke", ":ok", ":fail", ":info"])),
        "process": draw(st.sampled_from(["0", "1", "77", ":nemesis", ":checker", "nil"])),
        "f": draw(st.sampled_from([":txn", ":read", ":write", ":value", "nil", '"f g"'])),
        "value": draw(edn_values),
    }
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=1)):
        del fields[name]
    name = draw(st.sampled_from([None, None, "error", "key", "node", "ext", "type"]))
    if name is not None:
        fields[name] = draw(edn_values)
    order = draw(st.permutations(sorted(fields)))
    comma = draw(st.sampled_from([", ", " ", "  ", ",", "\t", " \n "]))
    text = "{" + comma.join(f":{name} {fields[name]}" for name in order) + "}"
    return draw(st.sampled_from(["", "", "#jepsen.history.Op"])) + text


@st.composite
def edn_histories(draw) -> str:
    """Lines of operations with what may stand between them."""
    count = draw(st.integers(1, 6))
    ops = [draw(edn_ops(index * draw(st.sampled_from([1, 1, 1, 2])))) for index in range(count)]
    between = st.sampled_from(
        ["\n", "\n", "\n", " \n", "\n\n", "\n; a comment {:type :ok}\n", " ", "\n#_ {:a 1}\n ", ""]
    )
    body = "".join(op + draw(between) for op in ops)
    if draw(st.integers(0, 4)) == 0:
        body = " ".join(op.replace("\n", " ") for op in ops)  # all on one line
    opening, closing = draw(
        st.sampled_from([("", ""), ("", ""), ("[", "]"), ("(", ")\n"), ("\n[\n", "\n]"), ("[", "")])
    )
    return opening + body + closing


# Operations of ours, with everything that JSON can hold.

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | words
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts | numbers.map(str), inner, max_size=3)
        | st.tuples(st.sampled_from(["append", "r", "w"]), inner, inner).map(list)
    ),
    max_leaves=8,
)
natural = st.integers(0, 2**63 - 1)


@st.composite
def json_ops(draw) -> list[Op]:
    """A history as the recorder could write it, as far as one file's lines go: in order, but of any processes."""
    times = sorted(draw(st.lists(natural, min_size=1, max_size=5)))
    ops = []
    for index, time in enumerate(times):
        process = draw(natural | st.just(NEMESIS))
        kind = INFO if process == NEMESIS else draw(st.sampled_from([INVOKE, OK, FAIL, INFO]))
        error = draw(st.none() | texts | st.lists(json_values, max_size=3))
        ext = draw(st.none() | st.dictionaries(texts, json_values, max_size=2))
        op = Op(index, time, process, kind, draw(texts), draw(json_values), error, draw(st.none() | texts), ext)
        ops.append(op)
    return ops
