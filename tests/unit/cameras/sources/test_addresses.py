"""Addresses that a camera may have, in all spellings."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cameras import CameraFailure
from service.cameras.sources.addresses import (
    METADATA_ADDRESSES,
    PRIVATE_NETWORKS,
    Network,
    allowed_addresses,
    is_allowed,
    resolve,
)
from service.cameras.sources.source import SourceFailed

pytestmark = pytest.mark.anyio
EVERYTHING: tuple[Network, ...] = (
    ipaddress.ip_network("0.0.0.0/0"),
    ipaddress.ip_network("::/0"),
)


async def checked(
    host: str, *answers: str, networks: Sequence[Network] = PRIVATE_NETWORKS
) -> list[str]:
    async def answer(_host: str, _port: int) -> Sequence[str]:
        return answers

    lookup = answer if answers else resolve
    return await allowed_addresses(host, 80, networks, timeout=5, resolve=lookup)


async def refusal(
    host: str, *answers: str, networks: Sequence[Network] = PRIVATE_NETWORKS
) -> CameraFailure:
    with pytest.raises(SourceFailed) as failed:
        await checked(host, *answers, networks=networks)
    return failed.value.reason


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "172.31.0.1", "192.168.1.20", "127.0.0.1", "169.254.7.7"),
        *("::1", "fe80::1", "fd12:3456::1"),
    ],
)
async def test_private_addresses_are_allowed(address: str) -> None:
    assert await checked(address) == [address]


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "172.32.0.1", "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1"),  # noqa: S104 - refused
        *("2001:db8::1", "::", "ff02::1"),
    ],
)
async def test_other_addresses_are_refused(address: str) -> None:
    assert await refusal(address) is CameraFailure.ADDRESS_REFUSED


@pytest.mark.parametrize("address", sorted(map(str, METADATA_ADDRESSES)))
async def test_metadata_is_refused_even_where_everything_is_allowed(address: str) -> None:
    assert await refusal("camera", address, networks=EVERYTHING) is CameraFailure.ADDRESS_REFUSED


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "::ffff:0:169.254.169.254",
        "fe80::5efe:169.254.169.254",
        "fe80::200:5efe:169.254.169.254",
    ],
)
async def test_ipv4_inside_ipv6_is_no_way_around(address: str) -> None:
    assert await refusal("camera", address, networks=EVERYTHING) is CameraFailure.ADDRESS_REFUSED


async def test_mapped_address_is_reached_as_ipv4() -> None:
    assert await checked("camera", "::ffff:10.0.0.1") == ["10.0.0.1"]
    assert await refusal("camera", "::ffff:8.8.8.8") is CameraFailure.ADDRESS_REFUSED


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "2130706433", "0x7f000001", "017700000001", "127.0.0.1"],
)
async def test_spellings_of_loopback_are_read_by_the_resolver(host: str) -> None:
    addresses = await checked(host)
    assert set(addresses) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    "host", ["0xa9fea9fe", "2852039166", "169.254.43518", "0251.0376.0251.0376"]
)
async def test_spellings_of_the_metadata_address_are_refused(host: str) -> None:
    assert await refusal(host) is CameraFailure.ADDRESS_REFUSED


async def test_one_refused_answer_refuses_the_host() -> None:
    assert await refusal("camera", "10.0.0.1", "8.8.8.8") is CameraFailure.ADDRESS_REFUSED


async def test_ipv4_comes_first() -> None:
    assert await checked("camera", "fd00::1", "10.0.0.1", "10.0.0.1") == ["10.0.0.1", "fd00::1"]


async def test_networks_of_the_operator_replace_the_private_ones() -> None:
    networks = [ipaddress.ip_network("203.0.113.0/24")]
    assert await checked("camera", "203.0.113.9", networks=networks) == ["203.0.113.9"]
    assert await refusal("camera", "127.0.0.1", networks=networks) is CameraFailure.ADDRESS_REFUSED


async def test_zone_is_refused() -> None:
    assert await refusal("camera", "fe80::1%lo") is CameraFailure.ADDRESS_REFUSED


async def test_unknown_host_is_unreachable() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async def empty(_host: str, _port: int) -> Sequence[str]:
        return []

    for lookup in (unknown, empty):
        with pytest.raises(SourceFailed) as failed:
            await allowed_addresses("camera", 80, PRIVATE_NETWORKS, timeout=5, resolve=lookup)
        assert failed.value.reason is CameraFailure.UNREACHABLE


async def test_slow_resolver_times_out() -> None:
    async def hangs(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(SourceFailed) as failed:
        await allowed_addresses("camera", 80, PRIVATE_NETWORKS, timeout=0.01, resolve=hangs)
    assert failed.value.reason is CameraFailure.TIMEOUT


@given(address=st.ip_addresses())
def test_nothing_outside_the_networks_is_allowed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    plain = getattr(address, "ipv4_mapped", None) or address
    if is_allowed(address, PRIVATE_NETWORKS):
        assert plain.is_private
        assert plain not in METADATA_ADDRESSES
