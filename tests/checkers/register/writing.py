"""Histories of registers: written by hand, and drawn."""

from __future__ import annotations

from hypothesis import strategies as st

from harness.op import Op


class Registers:
    """Writes a history: each call adds an entry."""

    def __init__(self):
        self.ops = []
        self.open = {}

    def begin(self, process, f, value=None):
        self.open[process] = (f, value)
        return self._add(process, "invoke", f, value)

    def end(self, process, value=None, kind="ok"):
        f, asked = self.open.pop(process)
        return self._add(process, kind, f, asked if value is None and f != "read" else value)

    def do(self, process, f, value=None, kind="ok"):
        """An operation of its own; ``value`` is what it writes, or what it read."""
        keyed = isinstance(value, list) and f == "read"
        self.begin(process, f, ([value[0], None] if keyed else None) if f == "read" else value)
        return self.end(process, value, kind)

    def nemesis(self, f):
        for _ in range(2):
            self._add("nemesis", "info", f, None)
        return self

    def _add(self, process, kind, f, value):
        self.ops.append(Op(len(self.ops), 1000 * len(self.ops), process, kind, f, value))
        return self


@st.composite
def register_ops(draw, *, unique=True, keys=2, processes=3, most=9, stale=3):
    """A small history with independent keys. Reads see what one of the last writes wrote, or nothing."""
    world = Registers()
    threads = list(range(processes))
    fresh, made = processes, 0
    held = {key: [None] for key in range(keys)}  # what may be seen of each key, the newest last
    for _ in range(draw(st.integers(2, 2 * most))):
        thread = draw(st.integers(0, processes - 1))
        process = threads[thread]
        if process not in world.open:
            if made == most:
                continue
            made += 1
            key = draw(st.integers(0, keys - 1))
            f = draw(st.sampled_from(["read", "read", "write", "write", "cas"]))
            value = 10 * key + made if unique else draw(st.integers(0, 2))
            if f == "read":
                world.begin(process, f, [key, None])
            elif f == "write":
                world.begin(process, f, [key, value])
            else:
                world.begin(process, f, [key, [_seen(draw, held[key], stale), value]])
            if f != "read" and draw(st.booleans()):
                held[key].append(value)  # may be seen at once
            continue
        f, (key, value) = world.open[process]
        kind = draw(st.sampled_from(["ok"] * 8 + ["info", "fail"]))
        if kind == "info":
            threads[thread], fresh = fresh, fresh + 1
        if f == "read":
            world.end(process, [key, _seen(draw, held[key], stale) if kind == "ok" else None], kind)
            continue
        written = value[1] if f == "cas" else value
        if kind != "fail" and written not in held[key]:
            held[key].append(written)
        world.end(process, kind=kind)
    return world.ops


def _seen(draw, held, stale):
    return held[-1 - min(draw(st.integers(0, stale)), len(held) - 1)] if draw(st.booleans()) else held[-1]
