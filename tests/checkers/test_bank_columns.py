from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.bank.columns import BANK_ENCODER, CORRUPT, FINAL, INSUFFICIENT, OLD_SNAPSHOT, READBACK
from harness.op import Op

TRANSFER = {"id": 3, "from": 1, "to": 2, "amount": 4, "mode": "pessimistic"}
READS = [[1, 10, 0, 0, -1], [2, 20, 5, 2, 1]]
WRITES = [[1, 6, 1, 3, 0], [2, 24, 6, 3, 2]]


def encode(kind, f, value, error=None, process=0):
    return BANK_ENCODER.encode(Op(0, 0, process, kind, f, value, error))


def test_transfer():
    fields, rows = encode("ok", "transfer", TRANSFER | {"ts": 7, "read": READS, "write": WRITES, "commit_ts": 9})
    assert fields == (3, 7, 9, 0, -1)
    assert list(rows) == [0, *READS[0], 0, *READS[1], 1, *WRITES[0], 1, *WRITES[1]]
    assert encode("invoke", "transfer", TRANSFER) == ((3, -1, -1, 0, -1), ())
    assert encode("fail", "transfer", TRANSFER, "insufficient-funds")[0][3] == INSUFFICIENT
    assert encode("fail", "transfer", TRANSFER | {"corrupt": [[1, "00"]]}, "corrupt")[0][3] == CORRUPT


def test_read():
    value = {"id": 4, "via": "old-snapshot", "final": True, "ts": None, "read": READS}
    assert encode("ok", "read", value) == ((4, -1, -1, FINAL | OLD_SNAPSHOT, -1), [0, *READS[0], 0, *READS[1]])


def test_readback():
    value = {"id": 9, "of": 3, "ts": 12, "accounts": [1, 2]}
    assert encode("invoke", "readback", value) == ((9, 12, -1, READBACK | OLD_SNAPSHOT, 3), ())
    found = encode("ok", "readback", value | {"read": READS})
    assert found == ((9, 12, -1, READBACK | OLD_SNAPSHOT, 3), [0, *READS[0], 0, *READS[1]])


def test_nemesis():
    assert encode("info", "start-kill", {"id": 1}, process="nemesis") == ((-1, -1, -1, 0, -1), ())


@pytest.mark.parametrize(
    ("f", "change"),
    [
        ("transfer", {"id": None}),
        ("transfer", {"id": 0}),
        ("transfer", {"id": 2**63}),
        ("transfer", {"to": 1}),
        ("transfer", {"mode": "hasty"}),
        ("transfer", {"read": READS[:1]}),
        ("transfer", {"write": []}),
        ("transfer", {"write": [WRITES[0], WRITES[0]]}),
        ("transfer", {"write": [WRITES[0], [3, 24, 6, 3, 2]]}),
        ("transfer", {"write": [WRITES[0], [2, 24, 6, 4, 2]]}),
        ("transfer", {"write": [WRITES[0], [2, 24, 0, 3, 2]]}),
        ("transfer", {"read": [READS[0], [2, 20, 5, 2]]}),
        ("transfer", {"read": [READS[0], [2, 20, 5.0, 2, 1]]}),
        ("transfer", {"read": [READS[0], [2, True, 5, 2, 1]]}),
        ("transfer", {"read": [READS[0], [2, 20, -1, 2, 1]]}),
        ("read", {"read": READS[::-1]}),
        ("read", {"via": "telepathy"}),
        ("read", {"read": {"1": 10}}),
        ("deposit", {}),
        ("readback", {"of": 0}),
        ("readback", {"ts": None}),
        ("readback", {"accounts": [2]}),
        ("readback", {"read": READS[::-1]}),
    ],
)
def test_other_shapes_are_refused_in_words(f, change):
    value = {
        "transfer": TRANSFER | {"read": READS, "write": WRITES},
        "readback": {"id": 9, "of": 3, "ts": 12, "accounts": [1, 2], "read": READS},
    }.get(f, {"id": 4, "via": "scan", "read": READS})
    assert f == "deposit" or encode("ok", f, value)
    with pytest.raises(ValueError, match=r"bank|transfer|read"):
        encode("ok", f, value | change)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


@given(st.sampled_from(["transfer", "read", "readback", "x"]), st.sampled_from(["invoke", "ok", "fail", "info"]), JSON)
def test_any_value_is_encoded_or_refused(f, kind, value):
    try:
        fields, rows = encode(kind, f, value)
    except ValueError:
        return
    assert len(fields) == len(BANK_ENCODER.fields)
    assert len(rows) % len(BANK_ENCODER.row_fields) == 0
