"""The models by their definitions, for a handful of transactions: all orders, all snapshots, all version orders.

Nothing here knows of graphs' components, timelines or chains: transactions are executed, one after the other. Which
``info`` transactions took effect is tried in all ways.
"""

from __future__ import annotations

from itertools import chain, combinations, pairwise, permutations, product

from checkers.models import GRID
from harness.op import INFO, INVOKE, OK

NEVER = 10**9


class Txn:
    def __init__(self, number, invoked):
        self.number = number
        self.invoked, self.completed, self.returned = invoked.index, NEVER, NEVER
        self.process, self.type, self.value = invoked.process, INFO, invoked.value
        self.known = False  # whether nil in a read means the initial state

    def complete(self, op):
        self.returned = op.index
        self.type, self.value, self.known = op.type, op.value, op.type == OK
        if op.type == OK:
            self.completed = op.index

    def writes(self):
        found = {}
        for f, key, value in self.value:
            if f != "r":
                found.setdefault(key, []).append(value)
        return found

    def is_known(self, value):
        return self.known or value is not None


def transactions(ops):
    found, running = [], {}
    for op in ops:
        if op.type == INVOKE:
            running[op.process] = Txn(len(found), op)
            found.append(running[op.process])
        else:
            running.pop(op.process).complete(op)
    return found


def verdicts(ops, family):
    """Of each model, whether it holds."""
    txns = transactions(ops)
    certain = [txn for txn in txns if txn.type == OK]
    perhaps = [txn for txn in txns if txn.type == INFO]
    sets = list(chain.from_iterable(combinations(perhaps, size) for size in range(len(perhaps) + 1)))
    lists = family == "list-append"
    checks = ((read_uncommitted, txns), (read_committed, None), (snapshot_isolation, None), (serializable, None))
    models = {}
    for row, (check, whole) in zip(GRID, checks, strict=True):
        for model, before in zip(row, (no_order, process_order, realtime_order), strict=True):
            if whole is not None:
                models[model] = check(whole, lists, before)
            else:
                models[model] = any(check([*certain, *some], lists, before) for some in sets)
    return models


def no_order(one, other):
    return False


def process_order(one, other):
    return one.process == other.process and one.completed < other.invoked


def realtime_order(one, other):
    return one.completed < other.invoked


def execute(txn, state, lists):
    """What the transaction makes of the state, None if it cannot have read what it read."""
    state = dict(state)
    for f, key, value in txn.value:
        now = state.get(key, () if lists else None)
        if f == "append":
            state[key] = (*now, value)
        elif f == "w":
            state[key] = value
        elif txn.is_known(value):
            seen = tuple(value or ()) if lists else value
            if seen != now:
                return None
    return state


def serializable(txns, lists, before):
    dead_ends = set()

    def search(left, state):
        if not left:
            return True
        here = (frozenset(txn.number for txn in left), frozenset(state.items()))
        if here in dead_ends:
            return False
        dead_ends.add(here)
        for txn in left:
            if any(before(other, txn) for other in left if other is not txn):
                continue
            following = execute(txn, state, lists)
            if following is not None and search([other for other in left if other is not txn], following):
                return True
        return False

    return search(txns, {})


def snapshot_isolation(txns, lists, before):
    """Some commit order, some snapshots, of which each is what a beginning of the order had written."""

    dead_ends = set()

    def search(left, done, states):
        if not left:
            return True
        # Snapshots that nobody left may have any more make no difference.
        oldest = min(first_snapshot(txn, done, before) for txn in left)
        recent = tuple(frozenset(state.items()) for state in states[oldest:])
        here = (frozenset(txn.number for txn in left), tuple(txn.number for txn in done[oldest:]), recent)
        if here in dead_ends:
            return False
        dead_ends.add(here)
        for txn in left:
            if any(before(other, txn) for other in left if other is not txn):
                continue
            for start in range(first_snapshot(txn, done, before), len(states)):
                seen, missed = done[:start], done[start:]
                if any(set(other.writes()) & set(txn.writes()) for other in missed):
                    continue
                following = execute(txn, states[start], lists)
                if following is None:
                    continue
                merged = states[-1] | {key: following[key] for key in txn.writes()}
                rest = [other for other in left if other is not txn]
                if search(rest, [*seen, *missed, txn], [*states, merged]):
                    return True
        return False

    return search(txns, [], [{}])


def first_snapshot(txn, done, before):
    """How many of those that have committed it must see, in their order."""
    return max((at + 1 for at, other in enumerate(done) if before(other, txn)), default=0)


def version_orders(txns):
    """All orders of the writers of each key."""
    keys = sorted({key for txn in txns for key in txn.writes()}, key=str)
    orders = [list(permutations([txn for txn in txns if key in txn.writes()])) for key in keys]
    for choice in product(*orders):
        yield dict(zip(keys, choice, strict=True))


def read_committed(txns, lists, before):
    """By some version orders every read shows what a committed transaction left, and information flows forward."""
    return any(flows_forward(txns, order, lists, before) for order in version_orders(txns))


def flows_forward(txns, order, lists, before):
    edges = {(a, b) for a in txns for b in txns if a is not b and before(a, b)}
    for writers in order.values():
        edges |= set(pairwise(writers))
    for txn in txns:
        written = {}
        for f, key, value in txn.value:
            if f != "r":
                written.setdefault(key, []).append(value)
            elif txn.is_known(value):
                find = writer_of_list if lists else writer_of_value
                writer = find(txn, value, order.get(key, ()), key, written.get(key, []))
                if writer == "nobody":
                    return False
                if writer not in (None, txn):
                    edges.add((writer, txn))
    if not lists and not all(follows_its_read(txn, order) for txn in txns):
        return False
    return not cyclic(txns, edges)


def follows_its_read(txn, order):
    """Whether what the transaction wrote comes after what it had read of the same key."""
    for key, source in first_reads(txn).items():
        writers = order[key]
        writer = next((one for one in writers if one is not txn and one.writes()[key][-1] == source), None)
        if writer is not None and writers.index(writer) > writers.index(txn):
            return False
    return True


def writer_of_list(txn, value, writers, key, written):
    """Whose version ends the list, None for nobody's; ``nobody`` if no beginning of the order is that list."""
    left, last = list(value or ()), None
    for writer in writers:
        if not left:
            break
        own = writer.writes()[key]
        if writer is txn:
            own = own[: len(written)]
            if own and own[: len(left)] == left:
                return txn
        if left[: len(own)] != own:
            return "nobody"
        if own:
            last = writer
        left = left[len(own) :]
    return "nobody" if left else last


def writer_of_value(txn, value, writers, key, written):
    if value is None:
        return None
    if value in written:
        return txn
    return next((writer for writer in writers if writer is not txn and writer.writes()[key][-1] == value), "nobody")


def first_reads(txn):
    """Of each key that was read before it was written, and then written, what was read."""
    found, passed = {}, set()
    for f, key, value in txn.value:
        if f == "r" and key not in passed and txn.is_known(value):
            found[key] = value
        passed.add(key)
    return {key: value for key, value in found.items() if key in txn.writes()}


def cyclic(txns, edges):
    left = set(txns)
    while True:
        free = {txn for txn in left if not any((other, txn) in edges for other in left)}
        if not free:
            return bool(left)
        left -= free


def read_uncommitted(txns, lists, before):
    """Writes are installed in an order; as far as reads tell it, it has no circle."""
    committed = counting(txns, lists)
    wrote = {(key, value): txn for txn in txns for key, values in txn.writes().items() for value in values}
    installed = list_order(committed, wrote) if lists else register_order(committed, wrote)
    if installed is None:
        return False
    edges = installed | {(a, b) for a, b in permutations(committed, 2) if before(a, b)}
    return not cyclic(committed, {(a, b) for a, b in edges if a is not b})


def list_order(committed, wrote):
    """Pairs of writers, by the order of elements that all reads agree on; None if an element cannot be."""
    reads = {}
    for txn in committed:
        for f, key, value in txn.value:
            if f == "r" and value:
                reads.setdefault(key, []).append(value)
    every = [(key, value) for key, values in reads.items() for value in values]
    if any(len(set(value)) < len(value) or any((key, each) not in wrote for each in value) for key, value in every):
        return None
    edges = set()
    for key in {key for key, _ in wrote}:
        known = [each for each in agreed(reads.get(key, [])) if wrote[key, each] in committed]
        later = [v for (k, v), txn in wrote.items() if k == key and txn in committed and v not in known]
        edges |= {(wrote[key, a], wrote[key, b]) for a, b in [*combinations(known, 2), *product(known, later)]}
    return edges


def register_order(committed, wrote):
    """Pairs of writers, of which the later had read what the earlier one wrote; None if nobody wrote a value."""
    edges = set()
    for txn in committed:
        if any(f == "r" and value is not None and (key, value) not in wrote for f, key, value in txn.value):
            return None
        for key, value in first_reads(txn).items():
            writer = wrote.get((key, value))
            if writer in committed and value == writer.writes()[key][-1]:
                edges.add((writer, txn))
    return edges


def agreed(reads):
    """What all reads of a key agree on."""
    longest = max(reads, key=len, default=[])
    for read in reads:
        same = next((at for at, (a, b) in enumerate(zip(read, longest, strict=False)) if a != b), None)
        if same is not None:
            longest = longest[:same]
    return longest


def counting(txns, lists):
    """Ok transactions, and those of which one that counts saw a write."""
    found = [txn for txn in txns if txn.type == OK]
    for txn in found:  # which grows
        for f, key, value in txn.value:
            if f == "r" and value is not None:
                seen = value if lists else [value]
                found += [
                    other
                    for other in txns
                    if other.type == INFO and other not in found and set(other.writes().get(key, ())) & set(seen)
                ]
    return found
