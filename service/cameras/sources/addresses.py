"""Addresses that a camera may have: allowed networks, and never a cloud's metadata service.

A host name is resolved once; all its addresses are checked, and the connection is made to one of
those. Spellings do not matter (``0x7f.1``, ``2130706433``): what counts is the parsed address.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from schemas.cameras import CameraFailure
from service.cameras.sources.source import SourceFailed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From host and port to addresses. Raises OSError."""

PRIVATE_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
        *("127.0.0.0/8", "::1/128"),  # loopback
        *("169.254.0.0/16", "fe80::/10"),  # link-local
        "fc00::/7",  # unique local, RFC 4193
    )
)
METADATA_ADDRESSES: frozenset[Address] = frozenset(
    ipaddress.ip_address(address)
    for address in (
        *("169.254.169.254", "fd00:ec2::254", "fd20:ce::254"),  # AWS, Azure, GCP and others
        *("169.254.170.2", "169.254.170.23", "fd00:ec2::23"),  # credentials of AWS containers
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's host
        "169.254.0.23",  # Tencent
        "192.0.0.192",  # Oracle
    )
)
# An IPv4 address inside an IPv6 address would go around the list of networks.
_TRANSLATED = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        *("64:ff9b::/96", "64:ff9b:1::/48"),  # NAT64, RFC 6052 and 8215
        *("2002::/16", "2001::/32"),  # 6to4, Teredo
        "::ffff:0:0:0/96",  # SIIT, RFC 2765
    )
)
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
_RESOLVERS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="camera-dns")


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Return whether a camera may have this address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_allowed(address.ipv4_mapped, networks)
        if _holds_ipv4(address):
            return False
    if address in METADATA_ADDRESSES or address.is_multicast or address.is_unspecified:
        return False
    return any(address in network for network in networks)


def _holds_ipv4(address: IPv6Address) -> bool:
    if any(address in network for network in _TRANSLATED):
        return True
    if address in _COMPATIBLE and not address.is_loopback:
        return True
    return (int(address) >> 32) & 0xFFFFFFFF in _ISATAP


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, numeric, in the system's order.

    Raises:
        OSError: the host is unknown.
    """

    def look_up() -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [str(sockaddr[0]) for *_, sockaddr in found]

    return await asyncio.get_running_loop().run_in_executor(_RESOLVERS, look_up)


async def allowed_addresses(
    host: str,
    port: int,
    networks: Sequence[Network],
    *,
    timeout: float,
    resolve: Resolve = resolve,
) -> list[str]:
    """Resolve a host and check every answer.

    Returns:
        Addresses to connect to, numeric, IPv4 first; an IPv4-mapped one as IPv4.

    Raises:
        SourceFailed: ``address_refused`` if any address is not allowed, ``unreachable`` if the
            host is unknown, ``timeout``.
    """
    try:
        async with asyncio.timeout(timeout):
            answers = await resolve(host, port)
    except TimeoutError:
        message = f"The name of the host is not resolved within {timeout:g} s"
        raise SourceFailed(CameraFailure.TIMEOUT, message) from None
    except (OSError, UnicodeError):
        raise SourceFailed(CameraFailure.UNREACHABLE, "The host is unknown") from None
    addresses = [_parse(answer) for answer in answers]
    if not addresses:
        raise SourceFailed(CameraFailure.UNREACHABLE, "The host has no address")
    if not METADATA_ADDRESSES.isdisjoint(addresses):
        message = "The address is a cloud's metadata service, which cameras may never have"
        raise SourceFailed(CameraFailure.ADDRESS_REFUSED, message)
    # One answer that is allowed does not excuse another: the next look-up may swap them.
    if not all(is_allowed(address, networks) for address in addresses):
        message = "The address is not among those that cameras may have (setting cameras.networks)"
        raise SourceFailed(CameraFailure.ADDRESS_REFUSED, message)
    return [str(address) for address in sorted(set(addresses), key=lambda one: one.version)]


def _parse(answer: str) -> Address:
    address = ipaddress.ip_address(answer)
    if isinstance(address, IPv6Address):
        if address.scope_id:
            message = "IPv6 addresses with a zone are not supported"
            raise SourceFailed(CameraFailure.ADDRESS_REFUSED, message)
        return address.ipv4_mapped or address
    return address
