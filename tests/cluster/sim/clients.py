"""What clients do in most tests of the simulated cluster."""


async def write(store, pairs, mode="optimistic"):
    txn = await store.begin(mode)
    for key, value in pairs.items():
        await txn.put(key, value)
    return await txn.commit()


async def read_now(store, keys):
    return await (await store.snapshot(await store.current_timestamp())).batch_get(keys)


async def later(cluster, delay_ns):
    await cluster.clock.sleep_until(cluster.clock.now() + delay_ns)
