"""Caller behind trusted proxies: ``X-Forwarded-For``, as far as it can be trusted.

Every proxy appends the address of its client, so the list is reliable from the right end up to the
first address that is no trusted proxy; entries left of it come from the caller and may be false. No
other header is used: not ``Forwarded``, ``X-Real-IP`` or ``X-Forwarded-Host``, which many proxies
pass through as the caller wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_HOPS = 32
"""Proxies in a row; longer chains are truncated."""
ANSWERS_KEPT = 1024
LONGEST_KEPT = 256
"""Limit in characters; longer lists are not cached, so that they cannot fill the memory."""

_WITH_PORT = re.compile(r"\[(?P<v6>[0-9A-Fa-f:.]+)\](:[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}")
"""Address with a port, as some proxies write it; with brackets for IPv6."""


class TrustedProxies:
    """Trusted proxies. Caches the last results, since callers send many requests."""

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
        """Return the ``client_address``, cached if the list is short."""
        find = self._client if len(forwarded_for) <= LONGEST_KEPT else self._client.__wrapped__
        return find(peer, forwarded_for)


def client_address(peer: str, forwarded_for: str, trusted: Iterable[Network]) -> str:
    """Return the address of the caller, to which the call is attributed.

    Args:
        peer: the other end of the connection.
        forwarded_for: ``X-Forwarded-For``, its lines joined by commas; from a peer that is not
            trusted it is ignored.

    Returns:
        The right-most address in the list that is no trusted proxy. If the list ends before one, or
        an entry is not an address, the last trusted proxy found.
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
    """Parse an IP address, IPv4-mapped IPv6 as IPv4; return None for everything else."""
    if "%" in text:  # a zone, which Python allows to be any text
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_among(address: Address, networks: Iterable[Network]) -> bool:
    """Return whether one of the networks contains the address."""
    return any(address in network for network in networks)
