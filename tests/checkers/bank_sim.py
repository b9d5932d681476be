"""A small bank that may misbehave, and a judge of its histories that tries all orders."""

from __future__ import annotations

from harness.op import Op
from tests.checkers.conftest import follow


class Log:
    """Collects operations with their indices and times."""

    def __init__(self):
        self.ops = []

    def add(self, process, kind, f, value, error=None):
        self.ops.append(Op(len(self.ops), 1000 * len(self.ops) + 7, process, kind, f, value, error))


class Chaos:
    """Draws a history of up to ``size`` operations. ``wild`` is the chance, in percent, of each misbehaviour."""

    def __init__(self, rng, size, wild):
        self.rng = rng
        self.wild = wild
        self.size = size
        self.accounts = rng.randint(2, 3)
        self.chains = [[[a, 10, 0, 0, -1]] for a in range(self.accounts)]
        self.log = Log()
        self.next_id = 1
        self.next_process = 0
        self.running = {}  # process -> (f, value, effect or None)
        self.late = []

    def bad(self):
        return self.rng.randrange(100) < self.wild

    def draw(self):
        processes = [self.fresh() for _ in range(self.rng.randint(1, 4))]
        while self.next_id <= self.size or self.running:
            process = self.rng.choice(processes)
            if self.late and self.rng.random() < 0.3:
                self.install(self.late.pop(self.rng.randrange(len(self.late))))
            if process not in self.running:
                if self.next_id <= self.size:
                    self.begin(process)
            elif self.running[process][2] is None:
                self.act(process)
            elif self.rng.random() < 0.7:
                if self.next_id > self.size and self.rng.random() < 0.1:
                    del self.running[process]  # open at the end
                    processes.remove(process)
                    processes.append(self.fresh())
                elif self.finish(process):
                    processes.remove(process)
                    processes.append(self.fresh())
        if self.rng.random() < 0.15:
            self.mutate()
        return self.log.ops

    def fresh(self):
        self.next_process += 1
        return self.next_process - 1

    def begin(self, process):
        value = {"id": self.next_id}
        self.next_id += 1
        if self.rng.random() < 0.65:
            source, target = self.rng.sample(range(self.accounts), 2)
            f = "transfer"
            value |= {"from": source, "to": target, "amount": self.rng.randint(1, 3), "mode": "optimistic"}
        else:
            f = "read"
            value["via"] = self.rng.choice(["scan", "old-snapshot", "batch_get"])
        self.log.add(process, "invoke", f, value)
        self.running[process] = (f, value, None)

    def look(self, account):
        chain = self.chains[account]
        if self.bad():
            return list(self.rng.choice(chain[-3:]))
        return list(chain[-1])

    def act(self, process):
        f, value, _ = self.running[process]
        if f == "read":
            old = value["via"] == "old-snapshot"
            if old and self.rng.random() < 0.5:
                reads = [list(chain[0]) for chain in self.chains]
            else:
                reads = [self.look(a) for a in range(self.accounts)]
            self.running[process] = (f, value, (reads, []))
            return
        reads = [self.look(a) for a in (value["from"], value["to"])]
        self.running[process] = (f, value, (reads, follow(value["id"], reads, value["amount"])))

    def install(self, effect):
        reads, writes = effect
        current = all(self.chains[r[0]][-1] == r for r in reads)
        if current or self.bad():
            for write in writes:
                if not self.bad():
                    self.chains[write[0]].append(write)
            return True
        return False

    def finish(self, process):
        f, value, (reads, writes) = self.running.pop(process)
        done = value | {"read": reads}
        if f == "read":
            kind = self.rng.choice(["ok"] * 8 + ["info", "fail"])
            self.log.add(process, kind, f, done)
            return kind == "info"
        lot = self.rng.random()
        if lot < 0.55:
            if self.install((reads, writes)):
                self.log.add(process, "ok", f, done | {"write": writes, "commit_ts": None})
            else:
                self.log.add(process, "fail", f, done, "write-conflict")
            return False
        if lot < 0.65:
            if self.bad():
                self.install((reads, writes))
            self.log.add(process, "fail", f, done | self.rng.choice([{}, {"write": writes}]), "aborted")
            return False
        then = self.rng.random()
        if then < 0.6:
            self.install((reads, writes))
        elif then < 0.8:
            self.late.append((reads, writes))
        noted = self.rng.choice([{}, {"read": reads}, {"write": writes}, {"read": reads, "write": writes}])
        self.log.add(process, "info", f, value | noted, "undetermined")
        return True

    def mutate(self):
        done = [op for op in self.log.ops if op.type == "ok"]
        if done:
            op = self.rng.choice(done)
            record = self.rng.choice(op.value["read"])
            at = self.rng.choice([1, 2, 3, 4])
            record[at] = max(record[at] + self.rng.choice([-1, 1, 2]), 0)


class Fact:
    """An operation as the judge sees it."""

    def __init__(self, begun, done):
        self.id = begun.value["id"]
        self.begun = begun.index
        self.kind = done.type if done else "info"
        self.done = done.index if done else None
        self.is_transfer = begun.f == "transfer"
        self.old = begun.value.get("via") == "old-snapshot"
        value = done.value if done else {}
        self.reads = value.get("read", [])
        self.writes = {w[0]: tuple(w) for w in value.get("write", [])}
        self.doubtful = self.kind == "info" and self.is_transfer


def facts_of(ops):
    running, facts = {}, {}
    for op in ops:
        if op.process in running:
            fact = Fact(running.pop(op.process), op)
            facts[fact.id] = fact
        else:
            running[op.process] = op
    for op in running.values():
        fact = Fact(op, None)
        facts[fact.id] = fact
    return facts


def explainable(ops):
    """Whether some order of the committed operations explains them, by trying all orders."""
    facts = facts_of(ops)
    committed = {f.id for f in facts.values() if f.kind == "ok"}
    grew = True
    while grew:
        seen = set()
        for number in committed:
            fact = facts[number]
            seen |= {r[3] for r in fact.reads} | {r[4] for r in fact.reads} | {w[4] for w in fact.writes.values()}
        new = {number for number in seen if number in facts and facts[number].doubtful} - committed
        grew = bool(new)
        committed |= new
    taking_part = [facts[number] for number in sorted(committed)]
    first_balances = {}
    for fact in taking_part:
        for account, balance, version, _, _ in fact.reads:
            if version == 0 and first_balances.setdefault(account, balance) != balance:
                return False
    for fact in taking_part:
        if fact.doubtful:
            _complete(fact, taking_part)
    return _some_order(taking_part, first_balances)


def _complete(fact, others):
    """Add what others saw of a transfer to what it noted itself."""
    for other in others:
        for record in other.reads:
            if record[3] == fact.id and record[0] not in fact.writes:
                fact.writes[record[0]] = tuple(record)
    for other in others:
        for record in [*other.reads, *other.writes.values()]:
            if record[4] == fact.id and record[0] not in fact.writes:
                fact.writes[record[0]] = (record[0], None, record[2] - 1, fact.id, None)


def _some_order(todo, first_balances):  # noqa: C901 (one search, told in one piece)
    def matches(record, state):
        account, balance, version, writer, previous = record
        now = state.get(account, (account, first_balances.get(account), 0, 0, -1))
        return (version, writer) == now[2:4] and now[1] in (None, balance) and now[4] in (None, previous)

    def may(fact, left, state):
        if not fact.old:
            for other in left:
                if other is not fact and other.kind == "ok" and other.done < fact.begun:
                    return False
        if not all(matches(record, state) for record in fact.reads):
            return False
        for account, _, version, _, previous in fact.writes.values():
            now = state.get(account, (account, None, 0, 0, -1))
            if previous is None:
                if now[2] >= version:
                    return False
            elif (now[2], now[3]) != (version - 1, previous):
                return False
        return True

    def search(left, state):
        if not left:
            return True
        for fact in left:
            if may(fact, left, state):
                after = state | fact.writes
                if search([other for other in left if other is not fact], after):
                    return True
        return False

    return search(todo, {})
