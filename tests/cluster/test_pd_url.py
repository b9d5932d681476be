"""Addresses of a running cluster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.pd_url import parse_pd_url
from harness.exit_codes import ExitCode, UsageError

ports = st.integers(1, 65_535)
hosts = st.one_of(
    st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,5})?", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)


@given(st.lists(st.builds(lambda host, port: f"{host}:{port}", hosts, ports), min_size=1, max_size=5, unique=True))
def test_good_addresses_come_back_in_order(addresses):
    assert parse_pd_url("pd://" + ",".join(addresses)) == tuple(addresses)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "not the URL"),
        ("127.0.0.1:2379", "not the URL"),
        ("http://127.0.0.1:2379", "not the URL"),
        ("PD://127.0.0.1:2379", "not the URL"),
        ("pd:127.0.0.1:2379", "not the URL"),
        ("pd://", "no address"),
        ("pd://127.0.0.1", "no port"),
        ("pd://[::1]", "no port"),
        ("pd://127.0.0.1:", "not a port"),
        ("pd://127.0.0.1:0", "not a port"),
        ("pd://127.0.0.1:65536", "not a port"),
        ("pd://127.0.0.1:-1", "not a port"),
        ("pd://127.0.0.1:٢٣", "not a port"),
        ("pd://127.0.0.1: 2379", "not a port"),
        ("pd://:2379", "not a host"),
        ("pd:// a:2379", "not a host"),
        ("pd://::1:2379", "not a host"),
        ("pd://[::g]:2379", "not a host"),
        ("pd://[fe80::1%eth0]:2379", "not a host"),
        ("pd://1.2.3:2379", "not a host"),
        ("pd://1.2.3.256:2379", "not a host"),
        ("pd://root@127.0.0.1:2379", "a user"),
        ("pd://127.0.0.1:2379/", "a path"),
        ("pd://127.0.0.1:2379/pd", "a path"),
        ("pd://127.0.0.1:2379?tls=1", "a query"),
        ("pd://127.0.0.1:2379#x", "a fragment"),
        ("pd://a:1,", "an empty address"),
        ("pd://a:1,,b:1", "an empty address"),
        ("pd://a:1,A:01", "twice"),
    ],
)
def test_a_bad_url_is_told_in_one_sentence(url, said):
    with pytest.raises(UsageError, match=said) as raised:
        parse_pd_url(url)
    assert raised.value.code == ExitCode.USAGE
    assert "\n" not in str(raised.value)
    assert "pd://HOST:PORT" in str(raised.value)


@given(st.one_of(st.text(), st.text().map("pd://".__add__)))
def test_any_text_is_read_or_refused(text):
    try:
        addresses = parse_pd_url(text)
    except UsageError:
        return
    for address in addresses:
        host, _, port = address.rpartition(":")
        assert host
        assert 0 < int(port) < 65_536
    assert parse_pd_url("pd://" + ",".join(addresses)) == addresses
