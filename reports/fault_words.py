"""What was planned for a fault and what was measured of it, as a person reads it: with units, the same said once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.clock import MILLISECOND
from reports.overview import Fault
from reports.text import duration, listed, shown

_LIMIT = 200
_PARTS_PER_PERCENT = 10_000  # ppm


def planned(fault: Fault) -> str:
    """What was to be done, without the nodes where these are the targets."""
    plan = {key: value for key, value in fault.plan.items() if not (key == "nodes" and value == fault.targets)}
    return shown(_mapping(plan), _LIMIT)


def measured(fault: Fault) -> str:
    """The evidence."""
    return shown(_mapping(fault.measured), _LIMIT)


def _mapping(facts: Mapping[Any, Any]) -> str:
    """What is the same of several is said once: ``dead pd1, dead kv1 and dead kv2 (state dead)``."""
    groups: dict[str, list[str]] = {}
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            groups.setdefault(f" ({_mapping(value)})", []).append(_name(shown(key, 40)))
        elif value not in ([], {}, None):
            groups.setdefault(f"\n{key!r}", []).append(_fact(shown(key, 40), value))
    return ", ".join(listed(names) + words.partition("\n")[0] for words, names in groups.items())


def _fact(key: str, value: Any) -> str:
    unit = key.rpartition("_")[2]
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list | dict):
        value = value[0]  # one for each node, and there is one
    if type(value) is int and unit in ("ns", "ms"):
        return f"{_name(key[:-3])} {duration(value * (MILLISECOND if unit == 'ms' else 1))}"
    if type(value) is int and unit == "ppm":
        return f"{_name(key[:-4])} {value / _PARTS_PER_PERCENT:g} %"
    return f"{_name(key)} {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return listed([shown(item, 40) for item in value[:20]])
    return shown(value, _LIMIT)


def _name(key: str) -> str:
    return key.replace("_", " ")
