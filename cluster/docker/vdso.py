"""The vDSO: the code of the kernel that each process has in its own memory, and reads its clocks by.

The kernel has one image of it for all 64-bit processes. So what a process ought to have there is what we have here
ourselves, and whatever differs was written by somebody. Layout: ELF-64, see elf(5) and vdso(7).
"""

from __future__ import annotations

import ctypes
import functools
import struct
from pathlib import Path
from typing import Final

import msgspec

from cluster.docker.host_process import Gone
from harness.exit_codes import EnvironmentFailure

CLOCK_GETTIME: Final = "__vdso_clock_gettime"
ENTRIES: Final = (CLOCK_GETTIME, "__vdso_gettimeofday", "__vdso_time")
JUMP_SIZE: Final = 5  # bytes of a jump, which each function must have room for

_AT_SYSINFO_EHDR = 33  # where the auxiliary vector, see getauxval(3), has the vDSO's address
_PAIR = struct.Struct("<QQ")
_HEADER = struct.Struct("<16s HHI QQQ I HHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_X86_64 = 62
_SHT_NOBITS, _SHT_DYNSYM = 8, 11


class Vdso(msgspec.Struct, frozen=True):
    """The image as the kernel made it.

    Attributes:
        image: all bytes of the mapping, to the end of its last page.
        entries: the offset of each of ``ENTRIES``.
        free: from this offset on nothing is used; a multiple of 16.
    """

    image: bytes
    entries: dict[str, int]
    free: int


class _Elf(msgspec.Struct, frozen=True):
    segments: list[tuple[int, ...]]
    sections: list[tuple[int, ...]]
    end: int


@functools.cache
def our_vdso() -> Vdso:
    """The image, from our own memory, which nobody writes to.

    Raises:
        EnvironmentFailure: there is none, or it is laid out in a way that is not known here.
    """
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("[vdso]"):
            low, high = (int(word, 16) for word in line.split()[0].split("-"))
            return parse(ctypes.string_at(low, high - low))
    raise EnvironmentFailure("this machine gives its processes no vDSO (vdso=0 on the kernel's command line?)")


def vdso_address(pid: int) -> int:
    """Where the vDSO of a process is in its memory.

    Raises:
        Gone: the process has ended.
        EnvironmentFailure: it has none.
    """
    try:
        vector = Path(f"/proc/{pid}/auxv").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        raise Gone(pid) from None
    if not vector:
        raise Gone(pid)
    for kind, value in _PAIR.iter_unpack(vector[: len(vector) // _PAIR.size * _PAIR.size]):
        if kind == _AT_SYSINFO_EHDR and value:
            return value
    raise EnvironmentFailure(f"process {pid} has no 64-bit vDSO: its clocks cannot be reached")


def parse(image: bytes) -> Vdso:
    """Find the functions of an image and the space behind everything that is used.

    Raises:
        EnvironmentFailure: it is no image for x86-64, or a function is missing or too short for a jump.
    """
    try:
        elf = _read_elf(image)
        symbols = _symbols(image, elf)
    except (struct.error, IndexError, ValueError):
        raise EnvironmentFailure("the vDSO of this machine is not an ELF image for x86-64") from None
    for name in ENTRIES:
        if symbols.get(name, (0, 0))[1] < JUMP_SIZE:
            raise EnvironmentFailure(f"the vDSO of this machine has no function {name} with room for a jump")
    free = -(-elf.end // 16) * 16
    if any(image[free:]):
        raise EnvironmentFailure("the end of the vDSO of this machine, which ought to be empty, holds something")
    return Vdso(image, {name: symbols[name][0] for name in ENTRIES}, free)


def _read_elf(image: bytes) -> _Elf:
    (ident, _, machine, _, _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, _) = _HEADER.unpack_from(image)
    if ident[:6] != b"\x7fELF\x02\x01" or machine != _X86_64:
        raise ValueError(ident)
    segments = [_SEGMENT.unpack_from(image, phoff + number * phentsize) for number in range(phnum)]
    sections = [_SECTION.unpack_from(image, shoff + number * shentsize) for number in range(shnum)]
    ends = [phoff + phnum * phentsize, shoff + shnum * shentsize]
    ends += [segment[2] + max(segment[5], segment[6]) for segment in segments]
    ends += [section[4] + section[5] for section in sections if section[1] != _SHT_NOBITS]
    return _Elf(segments, sections, max(ends))


def _symbols(image: bytes, elf: _Elf) -> dict[str, tuple[int, int]]:
    """The offset and the size of each function that the image defines; virtual addresses in it begin at 0."""
    found: dict[str, tuple[int, int]] = {}
    for section in elf.sections:
        if section[1] != _SHT_DYNSYM:
            continue
        strings = elf.sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], _SYMBOL.size):
            name, _, _, defined, value, size = _SYMBOL.unpack_from(image, at)
            start = strings + name
            if defined and value + size <= len(image):
                found[image[start : image.index(b"\0", start)].decode()] = (value, size)
    return found
