"""Addresses of a running cluster, ``pd://HOST:PORT[,HOST:PORT...]``: read strictly, so that a slip is told at once."""

from __future__ import annotations

import ipaddress
import re

from harness.exit_codes import UsageError

SCHEME = "pd://"
_EXAMPLE = "expected pd://HOST:PORT[,HOST:PORT...], for example pd://127.0.0.1:2379"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")
_MAX_PORT = 65_535


def parse_pd_url(url: str) -> tuple[str, ...]:
    """Return the PD addresses, each ``HOST:PORT``, in the order given.

    A host is a name, an IPv4 address, or an IPv6 address in brackets.

    Raises:
        UsageError: not such a URL; the sentence says what is wrong with it.
    """
    if not url.startswith(SCHEME):
        raise UsageError(f"{url!r} is not the URL of a cluster: {_EXAMPLE}")
    rest = url.removeprefix(SCHEME)
    if not rest:
        raise UsageError(f"{url!r} names no address: {_EXAMPLE}")
    for sign, what in (("@", "a user"), ("/", "a path"), ("?", "a query"), ("#", "a fragment")):
        if sign in rest:
            raise UsageError(f"{url!r} has {what}, which PD's address cannot have: {_EXAMPLE}")
    addresses = tuple(_address(part, url) for part in rest.split(","))
    for address in addresses:
        if addresses.count(address) > 1:
            raise UsageError(f"{url!r} names {address} twice: {_EXAMPLE}")
    return addresses


def _address(part: str, url: str) -> str:
    host, colon, port = part.rpartition(":")
    if not part:
        raise UsageError(f"{url!r} has an empty address in its list: {_EXAMPLE}")
    if not colon or part.endswith("]"):
        raise UsageError(f"{part!r} in {url!r} has no port (PD's own is 2379): {_EXAMPLE}")
    if not _PORT.match(port) or not 0 < int(port) <= _MAX_PORT:
        raise UsageError(f"{port!r} in {url!r} is not a port (1 to {_MAX_PORT}): {_EXAMPLE}")
    if not _is_host(host):
        raise UsageError(f"{host!r} in {url!r} is not a host name or address: {_EXAMPLE}")
    return f"{host.lower()}:{int(port)}"


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return "%" not in host
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return False
        return True
    return _NAME.match(host) is not None
