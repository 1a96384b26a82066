"""Client addresses behind proxies: correct, and not forgeable."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.transport.proxies import (
    LONGEST_KEPT,
    MAX_HOPS,
    TrustedProxies,
    client_address,
    is_among,
    parsed,
)

TRUSTED = tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32")))
PROXY, CLIENT = "10.0.0.1", "198.51.100.7"


def is_proxy(text: str) -> bool:
    address = parsed(text)
    return address is not None and is_among(address, TRUSTED)


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
proxies = st.ip_addresses(network="10.0.0.0/8").map(str)
strangers = addresses.filter(lambda text: not is_proxy(text))


def client(peer: str, forwarded_for: str) -> str:
    return client_address(peer, forwarded_for, TRUSTED)


@pytest.mark.parametrize(
    ("forwarded_for", "expected"),
    [
        (CLIENT, CLIENT),
        (f"203.0.113.9, {CLIENT}", CLIENT),
        (f"{CLIENT}, 10.1.2.3", CLIENT),
        (f"203.0.113.9,{CLIENT},10.1.2.3,192.0.2.1,2001:db8::5", CLIENT),
        (f"\t {CLIENT} \t,  10.1.2.3 ", CLIENT),
        ("2001:DB9::1", "2001:db9::1"),
        ("2001:db9:0:0:0:0:0:1", "2001:db9::1"),
        # With ports, as some proxies write them.
        (f"{CLIENT}:51234", CLIENT),
        ("[2001:db9::1]:443", "2001:db9::1"),
        ("[2001:db9::1]", "2001:db9::1"),
        ("2001:db9::1:443", "2001:db9::1:443"),
        # IPv4 and IPv4-mapped IPv6 are equal.
        ("::ffff:198.51.100.7", CLIENT),
        (f"{CLIENT}, ::ffff:10.0.0.9", CLIENT),
        ("[::ffff:198.51.100.7]:80", CLIENT),
    ],
)
def test_rightmost_untrusted_address_is_the_client(forwarded_for: str, expected: str) -> None:
    assert client(PROXY, forwarded_for) == expected


@pytest.mark.parametrize("peer", ["203.0.113.1", "2001:db9::1", "127.0.0.1", "", "unix:"])
def test_forwarded_header_from_an_untrusted_peer_is_ignored(peer: str) -> None:
    assert client(peer, CLIENT) == peer
    assert client(peer, "") == peer


def test_proxy_without_a_header_is_the_client() -> None:
    assert client(PROXY, "") == PROXY
    assert client("::ffff:10.0.0.1", "") == PROXY


def test_list_of_proxies_only_gives_the_first() -> None:
    assert client(PROXY, "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize(
    "nonsense",
    [
        *("unknown", "_hidden", "localhost", "example.com", "10.0.0", "10.0.0.256", "1"),
        *("01.2.3.4", "1.2.3.4.", "1.2.3.4:", "1.2.3.4:http", "1.2.3.4:123456", "1.2.3.4:80:80"),
        *("[2001:db9::1", "2001:db9::1]", "[2001:db9::1]443", "[198.51.100.7", "[]", "[]:80"),
        *("fe80::1%eth0", "fe80::1%\r\nevent: x", "198.51.100.7%1", "for=198.51.100.7"),
        *('"198.51.100.7"', "198.51.100.7/32", "198.51.100.7 10.0.0.2", "\u0661.2.3.4", "", " "),
    ],
)
def test_invalid_entry_ends_the_forwarded_list(nonsense: str) -> None:
    assert client(PROXY, f"{CLIENT}, {nonsense}") == PROXY
    assert client(PROXY, f"{CLIENT}, {nonsense}, 10.0.0.2") == "10.0.0.2"


def test_overlong_forwarded_list_is_read_only_from_the_right() -> None:
    proxies = [f"10.0.{number // 256}.{number % 256}" for number in range(10_000)]
    assert client(PROXY, ",".join([CLIENT, *proxies])) == proxies[-MAX_HOPS]
    assert client(PROXY, ",".join([CLIENT, *proxies[: MAX_HOPS - 1]])) == CLIENT


# Arbitrary input


@given(st.text(), strangers, st.lists(proxies, max_size=MAX_HOPS - 1))
def test_entries_left_of_the_client_are_ignored(
    spoofed: str, caller: str, behind: list[str]
) -> None:
    honest = ",".join([caller, *behind])
    assert client(PROXY, f"{spoofed},{honest}") == client(PROXY, honest) == str(parsed(caller))


@given(strangers, st.text())
def test_untrusted_peer_is_always_the_client(peer: str, sent: str) -> None:
    assert client(peer, sent) == peer


@given(proxies, st.lists(addresses | st.text(max_size=5)))
def test_client_address_is_the_peer_or_in_the_list(peer: str, sent: list[str]) -> None:
    found = client(peer, ",".join(sent))
    assert str(ip_address(found)) == found
    assert found in {peer, *(str(parsed(entry.strip())) for entry in sent)}


@given(st.lists(st.tuples(addresses, st.text(max_size=2 * LONGEST_KEPT))))
def test_cached_client_equals_the_computed_one(calls: list[tuple[str, str]]) -> None:
    remembering = TrustedProxies(TRUSTED)
    for peer, sent in calls * 2:
        assert remembering.client(peer, sent) == client(peer, sent)
        assert remembering.trusts(peer) == is_proxy(peer)
    kept = remembering._client.cache_info().currsize
    assert kept == len({call for call in calls if len(call[1]) <= LONGEST_KEPT})
