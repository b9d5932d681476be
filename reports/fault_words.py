"""What was planned for a fault and what was measured of it, as a person reads it: with units, the same said once.

What is measured is any JSON object, when a fault is put in place and when it is taken away. What stands in it under
``before``, ``during`` or ``after`` (or ``before_ns``, ``wall_before_ms`` and the like), at any depth, is told as of
then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.clock import MICROSECOND, MILLISECOND, SECOND
from reports.faults import Fault, Recovery
from reports.text import count, duration, listed, shown

_LIMIT = 200
_ITEMS = 8
_NAMES = 3
_DEPTH = 12
_HUGE = 1e15
_PARTS_PER_PERCENT = 10_000  # ppm
_UNITS: Final = {"ns": 1, "us": MICROSECOND, "ms": MILLISECOND, "s": SECOND}
_PHASES: Final = ("before", "during", "after")


def planned(fault: Fault) -> str:
    """What was to be done, without the nodes where these are the targets; and how often, if not once."""
    plan = {key: value for key, value in fault.plan.items() if not (key == "nodes" and value == fault.targets)}
    if fault.attempts > 1:
        plan["attempts"] = fault.attempts
    return shown(_mapping(plan), _LIMIT)


def measured(fault: Fault) -> list[tuple[str, str]]:
    """The evidence: when it was measured, and what."""
    found = _by_phase(fault.measured)
    if not fault.lasting:
        parts = [("before", found["before"]), ("done", _joined(found[""], found["during"])), ("after", found["after"])]
    else:
        removal = _by_phase(fault.removal)
        parts = [
            ("before", found["before"]),
            ("in force", _joined(_joined(found[""], found["during"]), found["after"])),
            ("at its end", _joined(removal["before"], removal["during"])),
            ("after", _joined(removal[""], removal["after"])),
        ]
    return [(when, shown(words, _LIMIT * 2)) for when, facts in parts if (words := _mapping(facts))]


def back_words(recovery: Recovery) -> str:
    """Who came back when: ``12 threads: the first after 10 ms, half of them after 62 ms, the last (4) after 2 s``."""
    if None in (recovery.first_ns, recovery.median_ns, recovery.last_ns):
        return ""
    first, middle, last = (duration(time or 0) for time in (recovery.first_ns, recovery.median_ns, recovery.last_ns))
    who = f"the last, number {recovery.last_thread}, after {last}" if recovery.back > 1 else ""
    half = f"half of them after {middle}" if recovery.back > 2 else ""
    times = ", ".join(filter(None, (f"the first after {first}", half, who)))
    never = f"; {count(recovery.never, 'thread')} never" if recovery.never else ""
    return f"{count(recovery.back, 'thread')}: {times}{never}"


def named(faults: Sequence[Fault]) -> str:
    """Faults in a few words: ``kill of kv1 and partition of 8 nodes``; empty without any."""
    names = list(dict.fromkeys(_named(fault) for fault in faults))
    return listed([*names[:_NAMES], *([f"{len(names) - _NAMES} more"] if len(names) > _NAMES else [])])


def _named(fault: Fault) -> str:
    targets = [shown(target, 40) for target in fault.targets]
    whom = listed(targets) if len(targets) <= _NAMES else f"{len(targets)} nodes"
    return f"{shown(fault.kind, 40)} of {whom}" if targets else shown(fault.kind, 40)


def _by_phase(facts: Mapping[Any, Any], depth: int = _DEPTH) -> dict[str, dict[str, Any]]:
    """Take ``facts`` apart by ``_PHASES``, each part in the form of the whole; under "" what names none of them."""
    parts: dict[str, dict[str, Any]] = {phase: {} for phase in ("", *_PHASES)}
    for key, value in facts.items():
        phase, rest = _phase_of(key)
        if phase:
            inner = value if isinstance(value, dict) and not rest else {rest: value}
            parts[phase] = _joined(parts[phase], inner)
        elif isinstance(value, dict) and value and depth:
            for name, inner in _by_phase(value, depth - 1).items():
                if inner:
                    parts[name] = _joined(parts[name], {key: inner})
        else:
            parts[""] = _joined(parts[""], {key: value})
    return parts


def _phase_of(key: str) -> tuple[str, str]:
    """The phase that a key names, and the rest of the key: ``before`` and ``wall_ms`` of ``wall_before_ms``."""
    words = key.split("_")
    found = [word for word in words if word in _PHASES]
    if len(found) != 1 or (len(words) > 1 and words[-1] not in (*_UNITS, "ppm")):
        return "", key
    return found[0], "_".join(word for word in words if word not in _PHASES)


def _joined(first: Mapping[str, Any], second: Mapping[str, Any], depth: int = _DEPTH) -> dict[str, Any]:
    """Both, object by object; where both say something of one thing, the second has another name."""
    result = dict(first)
    for key, value in second.items():
        there = result.get(key)
        if isinstance(there, dict) and isinstance(value, dict) and depth:
            result[key] = _joined(there, value, depth - 1)
        elif key in result and there != value:
            result[f"then {key}".rstrip()] = value
        else:
            result[key] = value
    return result


def _mapping(facts: Mapping[Any, Any], depth: int = _DEPTH) -> str:
    """What is the same of several is said once: ``dead pd1, dead kv1 and dead kv2 (state dead)``."""
    if not depth:
        return shown(facts)
    groups: dict[str, list[str]] = {}
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            groups.setdefault(f" ({_mapping(value, depth - 1)})", []).append(_name(shown(key, 40)))
        elif value not in ([], {}, None):
            groups.setdefault(f"\n{key!r}", []).append(_fact(shown(key, 40), value))
    return ", ".join(_several(names) + words.partition("\n")[0] for words, names in groups.items())


def _fact(key: str, value: Any) -> str:
    """A name and its value, with the unit that the name ends in."""
    base, _, unit = key.rpartition("_")
    items = value if isinstance(value, list) else [value]
    numbers = bool(items) and all(type(item) in (int, float) and abs(item) < _HUGE for item in items)
    if numbers and unit in _UNITS:
        return f"{_name(base)} {_several([duration(round(item * _UNITS[unit])) for item in items])}".strip()
    if numbers and unit == "ppm":
        return f"{_name(base)} {_several([f'{item / _PARTS_PER_PERCENT:g} %' for item in items])}".strip()
    return f"{_name(key)} {_value(value)}".strip()


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return _several([shown(_value(item), 40) for item in value])
    if type(value) is float:
        return f"{value:.6g}"
    return shown(value, _LIMIT)


def _several(words: list[str]) -> str:
    """Listed, without those that are too many."""
    return listed(words) if len(words) <= _ITEMS else f"{', '.join(words[:_ITEMS])} and {len(words) - _ITEMS} more"


def _name(key: str) -> str:
    return key.replace("_", " ")
