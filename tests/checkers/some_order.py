"""Whether there is some order, by trying all: the judge of what is decided without a search."""


def some_order(calls, is_needed, before, step):
    """Whether some order of the calls that are needed, and of any others, keeps to ``before`` and can be done.

    ``before(a, b)`` says that a needed a must come before b; ``step(state, call)`` gives the state after it, from
    ``()`` at first, or None where it cannot be done.
    """
    needed = {at for at, call in enumerate(calls) if is_needed(call)}
    must = [{other for other in needed if before(calls[other], call)} for call in calls]
    seen, stack = set(), [(frozenset(), ())]
    while stack:
        config = stack.pop()
        if config in seen:
            continue
        seen.add(config)
        taken, state = config
        if needed <= taken:
            return True
        for at, call in enumerate(calls):
            if at not in taken and must[at] <= taken and (after := step(state, call)) is not None:
                stack.append((taken | {at}, after))
    return False
