"""Whose request it is that a proxy passes on: what ``X-Forwarded-For`` says, as far as it holds.

Every proxy appends the address that it was asked from, so the list is true from the right end up to
the first address that is no proxy of ours; left of it stands whatever that caller chose to send.
Nothing else is believed: not ``Forwarded``, ``X-Real-IP`` or ``X-Forwarded-Host``, which a proxy
that sets one of them often passes through as the caller wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_HOPS = 32
"""Proxies in a row; a longer list is somebody's joke."""
ANSWERS_KEPT = 1024
LONGEST_KEPT = 256
"""Characters; longer lists are read again each time, so that nobody fills the memory with them."""

_WITH_PORT = re.compile(r"\[(?P<v6>[0-9A-Fa-f:.]+)\](:[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}")
"""Some proxies write where a call came from to the letter; IPv6 needs brackets for that."""


class TrustedProxies:
    """Who may say on whose behalf they ask. Remembers the last answers: callers keep coming."""

    def __init__(self, networks: Iterable[Network]) -> None:
        trusted = tuple(networks)

        def trusts(peer: str) -> bool:
            address = parsed(peer)
            return address is not None and is_among(address, trusted)

        def client(peer: str, forwarded_for: str) -> str:
            return client_address(peer, forwarded_for, trusted)

        self.trusts = lru_cache(ANSWERS_KEPT)(trusts)
        self._client = lru_cache(ANSWERS_KEPT)(client)

    def client(self, peer: str, forwarded_for: str) -> str:
        """See ``client_address``."""
        find = self._client if len(forwarded_for) <= LONGEST_KEPT else self._client.__wrapped__
        return find(peer, forwarded_for)


def client_address(peer: str, forwarded_for: str, trusted: Iterable[Network]) -> str:
    """The address that a call counts for.

    Args:
        peer: the other end of the connection.
        forwarded_for: ``X-Forwarded-For``, its lines joined by commas; from a peer that is not
            trusted it is ignored.

    Returns:
        The right-most address in the list that is no proxy. If the list ends before there is one,
        or what stands there is no address, the last proxy that was one.
    """
    trusted, hop = tuple(trusted), parsed(peer)
    if hop is None or not is_among(hop, trusted):
        return peer
    for entry in reversed(forwarded_for.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
        text = entry.strip(" \t")
        written = _WITH_PORT.fullmatch(text)
        before = parsed((written["v6"] or written["v4"]) if written else text)
        if before is None:
            break
        hop = before
        if not is_among(hop, trusted):
            break
    return str(hop)


def parsed(text: str) -> Address | None:
    """An IP address, one of IPv4 written as IPv6 as what it is; None for everything else."""
    if "%" in text:  # a zone, which Python lets be any text
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_among(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of the networks holds it."""
    return any(address in network for network in networks)
