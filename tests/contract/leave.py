"""A client that writes and is gone: ``leave.py locked|prewritten|committed PD,PD KEY VALUE ...``, all in hex.

It prints the commit_ts (0 without one) and ends in the middle of things, as a process that is killed does. For
``prewritten`` it stops itself before it commits, so that who started it can see to it that no timestamp comes.
"""

import asyncio
import os
import signal
import sys

from cluster.tikv import TikvStore


async def main(how: str, addresses: str, words: list[str]) -> None:
    """Write the pairs."""
    pairs = {bytes.fromhex(key): bytes.fromhex(value) for key, value in zip(words[::2], words[1::2], strict=True)}
    store = TikvStore(addresses.split(","))
    txn = await store.begin("pessimistic" if how == "locked" else "optimistic")
    await txn.batch_get(list(pairs))  # to know the regions
    for key, value in pairs.items():
        await txn.put(key, value)
    if how == "prewritten":
        print("ready", flush=True)  # noqa: T201
        os.kill(os.getpid(), signal.SIGSTOP)
    commit_ts = None if how == "locked" else await txn.commit()
    print(commit_ts or 0, flush=True)  # noqa: T201
    os._exit(0)


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
