"""The code that takes the place of the vDSO's: it asks the kernel for the time, then reckons as `vdso_rows.py` says.

It lies in the unused space at the end of the vDSO, as one block, behind the numbers it reckons with:

      0  a mark, by which a block is known; what was asked for (wall, monotonic); 8 bytes unused
     32  the rows: 12 times offset, since, ppm, limit
    416  the code

The block is code that runs at any address. It keeps to the calling convention (System V, x86-64): it changes only what
a call may change, and needs at most 40 bytes of stack. On the right the assembly of which the bytes are made; a test
has it assembled again.
"""

from __future__ import annotations

import struct
from typing import Final

from cluster.docker.vdso import CLOCK_GETTIME, ENTRIES, JUMP_SIZE, Vdso
from cluster.docker.vdso_rows import ROWS, TRUE, Clocks, Row
from harness.exit_codes import EnvironmentFailure

_MARK = b"qqclock1"
_HEAD = struct.Struct("<8sqqq")
_ROW = struct.Struct("<qqqq")
CODE_AT: Final = _HEAD.size + ROWS * _ROW.size

# clock_gettime(edi: clock, rsi: result). Errors and clocks without a row are passed on as they are.
# rcx: true time; rax: what was gathered, then the reading.
_CLOCK_GETTIME = """
b8 e4 00 00 00          mov eax, 228
0f 05                   syscall
85 c0                   test eax, eax
75 69                   jne 2f
83 ff 0b                cmp edi, 11
77 64                   ja 2f
c1 e7 05                shl edi, 5
4c 8d 05 66 fe ff ff    lea r8, [rip + rows]
49 01 f8                add r8, rdi
48 69 0e 00 ca 9a 3b    imul rcx, [rsi], 1000000000
48 03 4e 08             add rcx, [rsi + 8]
48 89 c8                mov rax, rcx
49 2b 40 08             sub rax, [r8 + 8]
49 f7 68 10             imul qword ptr [r8 + 16]
bf 40 42 0f 00          mov edi, 1000000
48 f7 ff                idiv rdi
49 8b 50 18             mov rdx, [r8 + 24]
48 39 d0                cmp rax, rdx
48 0f 4f c2             cmovg rax, rdx
48 f7 da                neg rdx
48 39 d0                cmp rax, rdx
48 0f 4c c2             cmovl rax, rdx
48 01 c8                add rax, rcx
49 03 00                add rax, [r8]
48 99                   cqo
bf 00 ca 9a 3b          mov edi, 1000000000
48 f7 ff                idiv rdi
48 85 d2                test rdx, rdx
79 06                   jns 1f
48 01 fa                add rdx, rdi
48 ff c8                dec rax
48 89 06             1: mov [rsi], rax
48 89 56 08             mov [rsi + 8], rdx
31 c0                   xor eax, eax
c3                   2: ret
"""

# gettimeofday(rdi: result or NULL, rsi: time zone or NULL). The zone from the kernel, the time from the code above.
_GETTIMEOFDAY = """
49 89 f9                mov r9, rdi
48 85 f6                test rsi, rsi
74 0d                   je 1f
31 ff                   xor edi, edi
b8 60 00 00 00          mov eax, 96
0f 05                   syscall
85 c0                   test eax, eax
75 29                   jne 2f
31 c0                1: xor eax, eax
4d 85 c9                test r9, r9
74 22                   je 2f
31 ff                   xor edi, edi
4c 89 ce                mov rsi, r9
e8 65 ff ff ff          call clock_gettime
85 c0                   test eax, eax
75 14                   jne 2f
48 8b 46 08             mov rax, [rsi + 8]
31 d2                   xor edx, edx
b9 e8 03 00 00          mov ecx, 1000
48 f7 f1                div rcx
48 89 46 08             mov [rsi + 8], rax
31 c0                   xor eax, eax
c3                   2: ret
"""

# time(rdi: result or NULL): the seconds of CLOCK_REALTIME_COARSE, as the vDSO's own.
_TIME = """
49 89 f9                mov r9, rdi
48 83 ec 18             sub rsp, 24
48 89 e6                mov rsi, rsp
bf 05 00 00 00          mov edi, 5
e8 38 ff ff ff          call clock_gettime
48 8b 04 24             mov rax, [rsp]
48 83 c4 18             add rsp, 24
4d 85 c9                test r9, r9
74 03                   je 1f
49 89 01                mov [r9], rax
c3                   1: ret
"""

# Not called by the process but by us, to see its clocks as it sees them. For each of the r14d clocks whose numbers are
# the bytes of r13: true time, the reading of the function at r12, true time again, into three timespecs at rbx.
_PROBE = """
41 0f b6 ed          1: movzx ebp, r13b
89 ef                   mov edi, ebp
48 89 de                mov rsi, rbx
b8 e4 00 00 00          mov eax, 228
0f 05                   syscall
89 ef                   mov edi, ebp
48 8d 73 10             lea rsi, [rbx + 16]
41 ff d4                call r12
89 ef                   mov edi, ebp
48 8d 73 20             lea rsi, [rbx + 32]
b8 e4 00 00 00          mov eax, 228
0f 05                   syscall
48 83 c3 30             add rbx, 48
49 c1 ed 08             shr r13, 8
41 ff ce                dec r14d
75 cd                   jne 1b
cc                      int3
"""

_BYTES_WIDTH = 21  # of the left column
LISTING: Final = {CLOCK_GETTIME: _CLOCK_GETTIME, ENTRIES[1]: _GETTIMEOFDAY, ENTRIES[2]: _TIME, "probe": _PROBE}


def _code(listing: str) -> bytes:
    return b"".join(bytes.fromhex(line[:_BYTES_WIDTH]) for line in listing.splitlines())


def _places() -> dict[str, int]:
    at = CODE_AT
    places: dict[str, int] = {}
    for name, listing in LISTING.items():
        places[name] = at
        at += len(_code(listing))
    return {**places, "end": at}


PLACES: Final = _places()  # offsets in the block
BLOCK_SIZE: Final = PLACES["end"]
_CODE = b"".join(_code(listing) for listing in LISTING.values())


def block(clocks: Clocks) -> bytes:
    """The numbers and the code."""
    head = _HEAD.pack(_MARK, clocks.wall_ns, clocks.steady_ns, 0)
    rows = (_ROW.pack(row.offset_ns, row.since_ns, row.ppm, row.limit_ns) for row in clocks.rows)
    return head + b"".join(rows) + _CODE


def jumps(vdso: Vdso) -> dict[int, bytes]:
    """For each function the offset of its entry, and the jump to the code that takes its place."""
    made: dict[int, bytes] = {}
    for name, entry in vdso.entries.items():
        made[entry] = b"\xe9" + struct.pack("<i", vdso.free + PLACES[name] - entry - JUMP_SIZE)
    return made


def image_with(vdso: Vdso, clocks: Clocks) -> bytes:
    """The whole vDSO of a process whose clocks show that."""
    if clocks == TRUE:
        return vdso.image
    image = bytearray(vdso.image)
    image[vdso.free : vdso.free + BLOCK_SIZE] = block(clocks)
    for entry, jump in jumps(vdso).items():
        image[entry : entry + JUMP_SIZE] = jump
    return bytes(image)


def clocks_in(vdso: Vdso, image: bytes) -> Clocks | None:
    """What the clocks of the process show whose vDSO is ``image``; None if that is neither the kernel's nor ours."""
    if image == vdso.image:
        return TRUE
    at = vdso.free
    mark, wall_ns, steady_ns, _ = _HEAD.unpack_from(image, at)
    rows = tuple(Row(*_ROW.unpack_from(image, at + _HEAD.size + number * _ROW.size)) for number in range(ROWS))
    clocks = Clocks(rows, wall_ns, steady_ns)
    return clocks if mark == _MARK and image == image_with(vdso, clocks) else None


def check_room(vdso: Vdso) -> None:
    """Raise EnvironmentFailure where the code does not fit."""
    room = max(0, len(vdso.image) - vdso.free)
    if room < BLOCK_SIZE:
        raise EnvironmentFailure(f"the vDSO of this kernel has {room} unused bytes, and {BLOCK_SIZE} are needed")
