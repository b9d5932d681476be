"""Small histories of a store that may misbehave in many ways."""

from __future__ import annotations

from harness.op import Op

PLAN = {  # how a transaction behaves: weights of a store that is sound, and of worse ones
    "sound": {"atomic": 1},
    "isolated": {"isolated": 1},
    "snapshot": {"atomic": 2, "snapshot": 6, "stale": 1},
    "careless": {"atomic": 4, "snapshot": 2, "stale": 2, "single": 2, "overwrite": 1},
    "broken": {"atomic": 1, "snapshot": 1, "stale": 1, "single": 3, "overwrite": 3},
}
NAMES = (*PLAN, "wild")


def guesses(rng, family, size=5, keys=2):
    """Transactions whose reads are drawn from all that could be: most orders of versions are tried hard by these."""
    lists = family == "list-append"
    values, wrote = [], {key: [] for key in range(keys)}
    for _ in range(size):
        value = []
        for _ in range(rng.randint(1, 3)):
            key = rng.randrange(keys)
            if rng.random() < 0.5:
                value.append(["r", key, None])
            else:
                wrote[key].append(len(wrote[key]) + 1)
                value.append(["append" if lists else "w", key, wrote[key][-1]])
        values.append(value)
    final = {key: rng.sample(all_of, len(all_of)) if rng.random() < 0.5 else all_of for key, all_of in wrote.items()}

    def read(key):
        if lists:
            return final[key][: rng.randint(0, len(final[key]))]
        return rng.choice([None, *wrote[key]])

    ops, running, waiting = [], [], list(enumerate(values))
    while waiting or running:
        if waiting and rng.random() < 0.5:
            process, value = waiting.pop(0)
            running.append((process, value))
            ops.append(Op(0, 0, process, "invoke", "txn", value))
        elif running:
            process, value = running.pop(rng.randrange(len(running)))
            kind = "ok" if rng.random() < 0.9 else "info"
            value = value if kind == "info" else [[f, key, read(key) if f == "r" else it] for f, key, it in value]
            ops.append(Op(0, 0, process, kind, "txn", value))
    # Fewer processes, so that they have an order: one takes over where another is done for good.
    return [op.replace(index=index, time=1000 * index) for index, op in enumerate(_merged(ops))]


def _merged(ops):
    taken, free, fresh = {}, [], 0
    for op in ops:
        if op.type == "invoke":
            if not free:
                free.append(fresh)
                fresh += 1
            taken[op.process] = free.pop()
        elif op.type == "ok":
            free.append(taken[op.process])
        yield op.replace(process=taken[op.process])


class Chaos:
    def __init__(self, rng, family, name, size=6, keys=2):
        self.rng, self.lists = rng, family == "list-append"
        self.weights = PLAN.get(name, PLAN["careless"])
        self.wild = name == "wild"
        self.faults = 0 if name == "sound" else 1
        self.size, self.keys = size, keys
        self.state = {}
        self.past = [{}]
        self.ops, self.next_value = [], dict.fromkeys(range(keys), 1)

    def draw(self):
        rng = self.rng
        threads = list(range(rng.randint(1, 4)))
        fresh, made, running = len(threads), 0, {}
        late = []
        while made < self.size or running:
            thread = rng.randrange(len(threads))
            process = threads[thread]
            if late and rng.random() < 0.3:
                self.apply(late.pop())
            if process not in running:
                if made < self.size:
                    made += 1
                    running[process] = self.begin(process)
                continue
            txn = running[process]
            if txn["left"]:
                self.step(txn, txn["left"].pop(0))
                continue
            del running[process]
            if self.end(process, txn, late):
                threads[thread] = fresh
                fresh += 1
        return self.ops

    def begin(self, process):
        rng = self.rng
        value = []
        for _ in range(rng.randint(1, 4)):
            key = rng.randrange(self.keys)
            if rng.random() < 0.5:
                value.append(["r", key, None])
            else:
                value.append(["append" if self.lists else "w", key, self.next_value[key]])
                self.next_value[key] += 1
        self.record(process, "invoke", value)
        behaviour = rng.choices(list(self.weights), list(self.weights.values()))[0]
        base = rng.choice(self.past) if behaviour == "stale" else self.state
        single = behaviour == "single"
        # A decoy before and after, so that a moment between the entries can be any.
        left = list(range(len(value))) if single else ["before", "effect", "after"][: rng.randint(2, 3)]
        return {"value": value, "done": list(value), "how": behaviour, "base": dict(base), "left": left, "out": None}

    def step(self, txn, what):
        if what == "effect":
            if txn["how"] == "atomic":
                txn["base"] = dict(self.state)
            self.run(txn)
            txn["out"] = self.outcome()
            # First committer wins: what it writes must still be what it was.
            if txn["how"] == "isolated" and any(
                f != "r" and self.state.get(key) != txn["base"].get(key) for f, key, _ in txn["value"]
            ):
                txn["out"] = "fail"
            if txn["out"] in ("ok", "applied"):
                self.apply(txn)
        elif isinstance(what, int):
            f, key, value = txn["value"][what]
            txn["done"][what] = self.one(self.state, f, key, value)
            self.past.append(dict(self.state))

    def run(self, txn):
        txn["view"] = dict(txn["base"])
        txn["done"] = [self.one(txn["view"], f, key, value) for f, key, value in txn["value"]]

    def one(self, state, f, key, value):
        if f == "r":
            return [f, key, list(state.get(key, ())) if self.lists else state.get(key)]
        state[key] = (*state.get(key, ()), value) if self.lists else value
        return [f, key, value]

    def apply(self, txn):
        for f, key, value in txn["value"]:
            if f != "r":
                self.one(self.state, f, key, value)
        if txn["how"] == "overwrite":
            self.state.update({key: txn["view"][key] for f, key, _ in txn["value"] if f != "r"})
        self.past.append(dict(self.state))

    def outcome(self):
        draw = self.rng.random()
        if draw < 0.75:
            return "ok"
        if draw < 0.85:
            return "fail"
        return "applied" if draw < 0.92 else "unknown"

    def end(self, process, txn, late):
        out = txn["out"] or ("ok" if self.rng.random() < 0.8 else self.rng.choice(["fail", "applied"]))
        if out == "ok":
            done = self.altered(txn["done"]) if self.wild else txn["done"]
            self.record(process, "ok", done)
            return False
        if out == "unknown" and self.rng.random() < 0.5 and txn["how"] not in ("single", "isolated"):
            late.append(txn)
        if out == "fail":
            self.record(process, "fail", txn["value"])
            return False
        if self.rng.random() < 0.2 and out == "applied" and txn["out"]:
            self.record(process, "info", txn["done"])  # it has said what it read
        elif self.rng.random() < 0.9:
            self.record(process, "info", txn["value"])
        return True

    def altered(self, done):
        rng = self.rng
        if rng.random() < 0.7:
            return done
        place = rng.randrange(len(done))
        f, key, value = done[place]
        if f != "r":
            return done
        done = list(done)
        if not self.lists:
            done[place] = [f, key, rng.choice([None, *range(1, self.next_value[key] + 1)])]
        else:
            given = list(value)
            rng.choice(
                [
                    given.reverse,
                    given.clear,
                    lambda: given.append(rng.randint(1, 6)),
                    lambda: given.pop(0) if given else 0,
                ]
            )()
            done[place] = [f, key, given]
        return done

    def record(self, process, kind, value):
        self.ops.append(Op(len(self.ops), 1000 * len(self.ops), process, kind, "txn", [list(each) for each in value]))
