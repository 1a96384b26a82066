"""Rate limits, counted in memory or by several servers in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from auth.limiting import rate_windows
from auth.limiting.limits import Allowance, RateLimiter
from auth.settings import AuthSettings
from observability.metrics.metrics import Metrics
from observability.metrics.store_watch import StoreWatch
from schemas.errors import RateLimited
from tests.support.servers.databases import free_port, redis_server

pytestmark = pytest.mark.anyio

HOME = "192.0.2.1"


@asynccontextmanager
async def limiter(
    principal: str = "", address: str = "", store: str | None = None
) -> AsyncIterator[RateLimiter]:
    settings = AuthSettings.model_validate(
        {"rate_per_principal": principal, "rate_per_address": address, "rate_store": store}
    )
    watch = StoreWatch(Metrics(), "rates", fails="rate limits are not counted", works="counted")
    made = RateLimiter(settings, watch)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.process)])
def store(request: pytest.FixtureRequest) -> str | None:
    """The store of the counters; tests use different names, since they share one Redis."""
    return None if request.param == "memory" else request.getfixturevalue("redis_url")


@pytest.fixture
def somebody(request: pytest.FixtureRequest) -> str:
    """A unique name of a caller."""
    name: str = request.node.name
    return name


async def passes(counting: RateLimiter, name: str) -> bool:
    try:
        await counting.count_principal(name, Allowance())
    except RateLimited:
        return False
    return True


async def test_calls_above_the_limit_are_refused(store: str | None, somebody: str) -> None:
    async with limiter("3/day", store=store) as counting:
        assert [await passes(counting, somebody) for _ in range(5)] == [True] * 3 + [False] * 2
        assert await passes(counting, somebody + "else"), "others are not concerned"


async def test_principals_and_addresses_are_counted_separately(
    store: str | None, somebody: str
) -> None:
    async with limiter("1/day", "2/day", store) as counting:
        assert await passes(counting, somebody)
        for _ in range(2):
            await counting.count_address(somebody, Allowance())
        with pytest.raises(RateLimited):
            await counting.count_address(somebody, Allowance())
        assert not await passes(counting, somebody)


async def test_refusal_gives_the_retry_delay(store: str | None, somebody: str) -> None:
    async with limiter("1/hour", store=store) as counting:
        await counting.count_principal(somebody, Allowance())
        with pytest.raises(RateLimited) as caught:
            await counting.count_principal(somebody, Allowance())
        assert caught.value.retry_after is not None
        assert 0 < caught.value.retry_after <= 7200
        assert somebody not in caught.value.detail


async def test_headers_state_the_policy_and_remaining_calls(
    store: str | None, somebody: str
) -> None:
    async with limiter("2/hour; 5/day", "100/minute", store) as counting:
        for expected in (1, 0, 0):
            allowance = Allowance()
            await counting.count_address(somebody, allowance)
            try:
                await counting.count_principal(somebody, allowance)
            except RateLimited:
                assert expected == 0
            headers = dict(allowance.headers())
            policy, states = headers[b"ratelimit-policy"], headers[b"ratelimit"].split(b", ")
            assert policy == (
                b'"address-60";q=100;w=60, "principal-3600";q=2;w=3600, "principal-86400";q=5;w=86400'
            )
            assert states[1].startswith(b'"principal-3600";r=%d;t=' % expected)
        assert states[2].startswith(b'"principal-86400";r=3;t='), "refused calls are not counted"
        assert all(int(state.rsplit(b"=", 1)[1]) > 0 for state in states)


@pytest.mark.parametrize("order", ["2/hour; 100/day", "100/day; 2/hour"])
async def test_call_refused_by_the_hour_is_not_counted_daily(
    store: str | None, somebody: str, order: str
) -> None:
    async with limiter(order, store=store) as counting:
        assert [await passes(counting, somebody) for _ in range(20)].count(True) == 2
        allowance = Allowance()
        with pytest.raises(RateLimited):
            await counting.count_principal(somebody, allowance)
        left = {item.get_expiry(): left for _, item, left, _ in allowance.windows}
        assert left == {3600: 0, 86_400: 98}


async def test_unset_limits_count_no_calls() -> None:
    async with limiter() as counting:
        assert not counting.is_on
        allowance = Allowance()
        for _ in range(1000):
            await counting.count_principal("anna", allowance)
            await counting.count_address(HOME, allowance)
        assert allowance.headers() == []


@pytest.mark.parametrize(("principal", "address"), [("1/day", ""), ("", "1/day")])
async def test_principal_and_address_limits_work_independently(
    principal: str, address: str
) -> None:
    async with limiter(principal, address) as counting:
        assert counting.is_on
        allowance = Allowance()
        await counting.count_principal("anna", allowance)
        await counting.count_address(HOME, allowance)
        assert len(allowance.windows) == 1


async def test_ipv6_addresses_of_one_64_prefix_are_counted_together() -> None:
    async with limiter(address="2/day") as counting:
        await counting.count_address("2001:db8:1:2::1", Allowance())
        await counting.count_address("2001:db8:1:2:3::1", Allowance())
        with pytest.raises(RateLimited):
            await counting.count_address("2001:db8:1:2:ffff::1", Allowance())
        await counting.count_address("2001:db8:1:3::1", Allowance())


@pytest.mark.parametrize("name", ["", "a/b", "LIMITER", "ünï|ß", "a" * 10_000, "x\0y", "%s {}"])
async def test_any_principal_name_can_be_counted(
    store: str | None, somebody: str, name: str
) -> None:
    async with limiter("1/day", store=store) as counting:
        assert await passes(counting, name + somebody)
        assert not await passes(counting, name + somebody)


async def test_concurrent_calls_do_not_exceed_the_limit(
    store: str | None, somebody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Calls that a busy machine answers late would not be counted.
    monkeypatch.setattr(rate_windows, "ANSWER_SECONDS", 60.0)
    async with limiter("5/day", store=store) as counting:
        passed = await asyncio.gather(*(passes(counting, somebody) for _ in range(40)))
        assert passed.count(True) == 5


async def test_servers_sharing_redis_share_counts(redis_url: str, somebody: str) -> None:
    async with (
        limiter("6/day", store=redis_url) as one,
        limiter("6/day", store=redis_url) as other,
    ):
        passed = [await passes(which, somebody) for _ in range(5) for which in (one, other)]
        assert passed == [True] * 6 + [False] * 4
        allowance = Allowance()
        with pytest.raises(RateLimited):
            await other.count_principal(somebody, allowance)


async def test_servers_without_redis_count_separately() -> None:
    async with limiter("1/day") as one, limiter("1/day") as other:
        assert await passes(one, "anna")
        assert await passes(other, "anna")


class Beside:
    """A Redis server that is started and stopped from an event loop."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = redis_server(self._folder, self.port)
        await asyncio.to_thread(server.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(server.__exit__, None, None, None)


@pytest.fixture
def time_to_retry(monkeypatch: pytest.MonkeyPatch) -> Callable[[RateLimiter], None]:
    """Let the limiter retry a failed store."""

    def retry(counting: RateLimiter) -> None:
        monkeypatch.setattr(counting, "_out_until", float("-inf"))

    return retry


@pytest.mark.process
async def test_unreachable_redis_allows_calls_and_is_retried(
    tmp_path: Path, time_to_retry: Callable[[RateLimiter], None]
) -> None:
    redis = Beside(tmp_path)
    async with AsyncExitStack() as stack:
        counting = await stack.enter_async_context(limiter("1/day", store=redis.url))
        with capture_logs() as log:
            assert [await passes(counting, "anna") for _ in range(3)] == [True] * 3
        (line,) = log  # once, not thrice
        assert line["event"] == "rate limits are not counted"
        assert "onnect" in line["reason"], (
            "the words of Redis' client, not the name of a class alone"
        )
        async with redis.running():
            assert await passes(counting, "anna"), "it is left alone for a while"
            time_to_retry(counting)
            assert [await passes(counting, "anna") for _ in range(2)] == [True, False]
        with capture_logs() as log:
            assert [await passes(counting, "anna") for _ in range(3)] == [True] * 3
        assert len(log) == 1
        assert str(redis.port) not in repr(log)
        async with redis.running():
            time_to_retry(counting)
            assert [await passes(counting, "anna") for _ in range(2)] == [True, False]


async def test_silent_redis_does_not_block_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_windows, "ANSWER_SECONDS", 0.05)
    came, leave = asyncio.Event(), asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await leave.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, limiter("1/day", store=f"redis://127.0.0.1:{port}/0") as counting:
        async with asyncio.timeout(60):
            assert await passes(counting, "anna")
        assert came.is_set()
        leave.set()


async def test_non_redis_server_allows_calls() -> None:
    async def hostile(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hostile, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, limiter("1/day", store=f"redis://127.0.0.1:{port}/0") as counting:
        assert [await passes(counting, "anna") for _ in range(3)] == [True] * 3


async def test_full_counter_store_evicts_the_earliest_expiring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_windows, "MAX_COUNTERS", 100)
    counters = rate_windows._Counters()
    assert await counters.incr("long", 86_400) == 1
    for number in range(1000):
        await counters.incr(f"short {number}", 60)
        assert len(counters.storage) == len(counters.expirations) <= 100
    assert await counters.incr("short 999", 60) == 2
    assert await counters.incr("long", 86_400) == 2
    assert await counters.get("short 0") == 0
    assert len(counters.locks) == 0


async def test_expired_counters_are_removed() -> None:
    counters = rate_windows._Counters()
    for number in range(50):
        await counters.incr(f"over {number}", -1)
        await counters.incr(f"still there {number}", 60)
    counters._tidy_at = 0.0
    assert await counters.incr("the next one", 60) == 1
    assert len(counters.storage) == 51
    assert await counters.incr("over 1", 60) == 1


@pytest.mark.parametrize("rate", ["often", "600", "600/fortnight", "-1/minute", "10/minute & more"])
def test_invalid_rate_is_refused_at_start(rate: str) -> None:
    for name in ("rate_per_principal", "rate_per_address"):
        with pytest.raises(ValidationError, match="a rate is written like"):
            AuthSettings.model_validate({name: rate})
