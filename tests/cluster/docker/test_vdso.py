"""The image of the vDSO, and the code that is put behind it."""

import contextlib
import os
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.docker.vdso import ENTRIES, our_vdso, parse, vdso_address
from cluster.docker.vdso_rows import ROWS, TRUE, Clocks, Row
from cluster.docker.vdso_stubs import BLOCK_SIZE, CODE_AT, LISTING, block, check_room, clocks_in, image_with
from harness.exit_codes import EnvironmentFailure

INT64 = st.integers(-(2**63), 2**63 - 1)
CLOCKS = st.builds(Clocks, st.tuples(*[st.builds(Row, INT64, INT64, INT64, INT64)] * ROWS), INT64, INT64)


def test_the_functions_and_the_free_space_are_those_of_binutils(tmp_path):
    if shutil.which("readelf") is None:
        pytest.skip("readelf of binutils is the other reader: apt install binutils")
    vdso = our_vdso()
    (tmp_path / "vdso.so").write_bytes(vdso.image)
    told = subprocess.run(
        ["readelf", "-W", "--dyn-syms", "-S", "-h", tmp_path / "vdso.so"], capture_output=True, text=True, check=True
    ).stdout
    symbols = {name: int(value, 16) for value, name in re.findall(r"\d+: (\w{16}) .* (\w+)@@", told)}
    assert {name: symbols[name] for name in ENTRIES} == vdso.entries
    start = int(re.search(r"Start of section headers: *(\d+)", told)[1])
    count, size = (int(re.search(rf"{what} of section headers: *(\d+)", told)[1]) for what in ("Number", "Size"))
    assert start + count * size <= vdso.free < start + count * size + 16
    assert vdso_address(os.getpid()) % 4096 == 0


@given(st.data())
def test_a_broken_image_is_refused_or_understood_but_never_a_crash(data):
    image = bytearray(our_vdso().image)
    for _ in range(data.draw(st.integers(1, 4))):
        image[data.draw(st.integers(0, 0x800) | st.integers(0x1400, len(image) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(EnvironmentFailure):
        parse(bytes(image[: data.draw(st.sampled_from([len(image), 4096, 100, 0]))]))


def test_an_end_that_is_not_empty_is_not_written_over():
    image = our_vdso().image
    with pytest.raises(EnvironmentFailure, match="ought to be empty"):
        parse(image[:-1] + b"x")
    parse(image)


def test_where_the_code_does_not_fit_it_says_so():
    vdso = our_vdso()
    check_room(parse(vdso.image[: vdso.free + BLOCK_SIZE]))
    with pytest.raises(EnvironmentFailure, match=f"has {BLOCK_SIZE - 1} unused bytes, and {BLOCK_SIZE} are needed"):
        check_room(parse(vdso.image[: vdso.free + BLOCK_SIZE - 1]))


@given(CLOCKS)
def test_what_a_process_was_told_can_be_read_from_it(clocks):
    vdso = our_vdso()
    image = image_with(vdso, clocks)
    assert clocks_in(vdso, image) == clocks
    assert (image == vdso.image) == (clocks == TRUE)


@given(CLOCKS.filter(lambda clocks: clocks != TRUE), st.data())
def test_an_image_that_others_changed_is_not_taken_for_ours(clocks, data):
    vdso = our_vdso()
    image = bytearray(image_with(vdso, clocks))
    code = st.integers(0, vdso.free - 1) | st.integers(vdso.free + CODE_AT, len(image) - 1)
    image[data.draw(code)] ^= data.draw(st.integers(1, 255))
    assert clocks_in(vdso, bytes(image)) is None


def test_the_bytes_are_what_the_assembler_makes_of_the_text_beside_them(tmp_path):
    if shutil.which("as") is None or shutil.which("objcopy") is None:
        pytest.skip("an assembler is needed: apt install binutils")
    text = [".intel_syntax noprefix", ".zero 32", "rows:", f".zero {CODE_AT - 32}"]
    for name, listing in LISTING.items():
        text.append(f"{name.removeprefix('__vdso_')}:")
        text += [line[21:] for line in listing.splitlines()]
    (tmp_path / "code.s").write_text("\n".join(text) + "\n")
    subprocess.run(["as", "--64", "-o", tmp_path / "code.o", tmp_path / "code.s"], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", tmp_path / "code.o", tmp_path / "code.bin"], check=True)
    assert (tmp_path / "code.bin").read_bytes()[CODE_AT:] == block(TRUE)[CODE_AT:]
