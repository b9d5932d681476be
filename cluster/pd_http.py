"""What PD says of itself over HTTP, for the report: a courtesy, so whatever goes wrong only leaves it out."""

from __future__ import annotations

import http.client
import json
from typing import Any

TIMEOUT_S = 2.0
_LONGEST_ANSWER = 4 << 20


def pd_facts(address: str) -> dict[str, Any]:
    """Return what the PD at ``HOST:PORT`` tells of itself and its cluster. Blocks, for six seconds at most.

    Keys: ``pd_version`` (a string), ``cluster_id`` (an int), ``stores`` (each with id, address, version and state).
    What is not known is left out; never raises.
    """
    facts: dict[str, Any] = {}
    version = _get(address, "/pd/api/v1/version")
    if isinstance(version, dict) and isinstance(version.get("version"), str):
        facts["pd_version"] = version["version"]
    if version is None:
        return facts
    cluster = _get(address, "/pd/api/v1/cluster")
    if isinstance(cluster, dict) and isinstance(cluster.get("id"), int):
        facts["cluster_id"] = cluster["id"]
    stores = _get(address, "/pd/api/v1/stores")
    if isinstance(stores, dict) and isinstance(stores.get("stores"), list):
        facts["stores"] = [_store(entry["store"]) for entry in stores["stores"] if _is_store(entry)]
    return facts


def _is_store(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("store"), dict)


def _store(store: dict[str, Any]) -> dict[str, Any]:
    names = {"id": "id", "address": "address", "version": "version", "state_name": "state"}
    return {ours: store[theirs] for theirs, ours in names.items() if isinstance(store.get(theirs), str | int)}


def _get(address: str, path: str) -> Any:
    """The JSON at this path, or None."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read(_LONGEST_ANSWER)
        return json.loads(body) if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
