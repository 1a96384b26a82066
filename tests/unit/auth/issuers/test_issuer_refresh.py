"""Refresh and expiry of trusted issuers' keys."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from auth.issuers import STALE_SECONDS, UNKNOWN_KEY_SECONDS, TrustedIssuers
from tests.support.auth.issuer_bench import Bench, bench, kid_of, looked, trust
from tests.support.servers.issuer import DISCOVERY, KEYS, Issuer, issuer_process
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


async def look(at: Bench, issuer: Issuer) -> None:
    """Fetch again, once that is allowed."""
    at.later(UNKNOWN_KEY_SECONDS)
    await at.issuers.look_again(issuer.url)


# New keys and old ones


async def test_new_key_is_found_on_demand(issuer: Issuer) -> None:
    old = kid_of(issuer)
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        new = issuer.rotate()
        assert running.issuers.key(issuer.url, new) is None
        await look(running, issuer)
        assert running.issuers.key(issuer.url, new)
        assert running.issuers.key(issuer.url, old)
        assert not running.changes, "nothing that was verified is wrong now"


async def test_withdrawn_key_is_dropped_and_reported_once(issuer: Issuer) -> None:
    old = kid_of(issuer)
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        new = issuer.rotate(keep=False)
        await look(running, issuer)
        assert running.issuers.key(issuer.url, old) is None
        assert running.issuers.key(issuer.url, new)
        assert len(running.changes) == 1
        await look(running, issuer)
        assert len(running.changes) == 1


async def test_replaced_key_under_the_same_id_is_reported(issuer: Issuer) -> None:
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        kid = issuer.replace()
        before = running.issuers.key(issuer.url, kid)
        await look(running, issuer)
        after = running.issuers.key(issuer.url, kid)
        assert before is not None
        assert after is not None
        assert before.key.to_dict() != after.key.to_dict()
        assert len(running.changes) == 1


async def test_issuer_that_withdraws_all_keys_has_no_key(issuer: Issuer) -> None:
    kid = kid_of(issuer)
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        issuer.withdraw()
        await look(running, issuer)
        assert running.issuers.key(issuer.url, kid) is None
        assert len(running.changes) == 1
        assert running.looks[-1] == ("theirs", False)


async def test_keys_are_refreshed_periodically(issuer: Issuer) -> None:
    old = kid_of(issuer)
    async with bench(trust(issuer.url, refresh_seconds=1)) as running:
        await looked(running)
        issuer.rotate(keep=False)
        await eventually(lambda: running.issuers.key(issuer.url, old) is None)
        assert running.changes


# An issuer that is down


async def test_failing_issuer_does_not_affect_others(issuer: Issuer) -> None:
    with issuer_process() as down:
        down.down()
        async with bench(trust(down.url, "down"), trust(issuer.url, "up")) as running:
            await eventually(lambda: {name for name, _ in running.looks} == {"down", "up"})
            await eventually(lambda: ("up", True) in running.looks and len(running.looks) == 4)
            assert running.issuers.key(issuer.url, kid_of(issuer))
            assert set(running.issuers.faults()) == {"down"}
            down.up()
            await look(running, down)
            assert running.issuers.faults() == {}
            assert running.issuers.key(down.url, kid_of(down))


async def test_hanging_issuer_does_not_delay_others(issuer: Issuer) -> None:
    with issuer_process() as hanging:
        hanging.misbehave(DISCOVERY, "hang")
        async with bench(trust(hanging.url, "hangs"), trust(issuer.url, "up")) as running:
            await eventually(lambda: ("up", True) in running.looks)
            assert running.issuers.key(issuer.url, kid_of(issuer))
            assert running.issuers.faults() == {"hangs": "not asked yet"}
        # The exit did not wait for it either: that fetch never ended.
        assert running.looks.count(("hangs", False)) == 1


async def test_keys_of_an_unreachable_issuer_expire_after_a_day(issuer: Issuer) -> None:
    kid = kid_of(issuer)
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        issuer.answer(KEYS, "", 503)
        running.later(STALE_SECONDS)
        await running.issuers.look_again(issuer.url)
        assert running.issuers.key(issuer.url, kid)
        assert not running.changes
        await look(running, issuer)
        assert running.issuers.key(issuer.url, kid) is None
        assert len(running.changes) == 1
        issuer.behave()
        await look(running, issuer)
        assert running.issuers.key(issuer.url, kid)


@pytest.mark.process
async def test_recovered_issuer_is_found_by_periodic_refresh() -> None:
    with issuer_process() as down:
        down.down()
        async with bench(trust(down.url, refresh_seconds=1)) as running:
            await looked(running)
            down.up()
            await eventually(lambda: running.looks[-1] == ("theirs", True))


# Invented key ids


async def test_unknown_key_ids_trigger_rate_limited_refreshes(issuer: Issuer) -> None:
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        asked = issuer.requests(KEYS)
        for _ in range(100):
            await running.issuers.look_again(issuer.url)
        assert issuer.requests(KEYS) == asked
        running.later(UNKNOWN_KEY_SECONDS)
        for _ in range(100):
            await running.issuers.look_again(issuer.url)
        assert issuer.requests(KEYS) == asked + 1


async def test_concurrent_refresh_requests_share_one_fetch(issuer: Issuer) -> None:
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        asked, new = issuer.requests(KEYS), issuer.rotate()
        running.later(UNKNOWN_KEY_SECONDS)
        await asyncio.gather(*[running.issuers.look_again(issuer.url) for _ in range(50)])
        assert issuer.requests(KEYS) == asked + 1
        assert running.issuers.key(issuer.url, new)


class SlowTransport(httpx.AsyncBaseTransport):
    """A transport that responds on command, or uses up the clock's time."""

    def __init__(self, time: list[float]) -> None:
        self.time, self.asked = time, 0
        self.go_on = asyncio.Event()

    async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
        self.asked += 1
        await self.go_on.wait()
        self.time[0] += UNKNOWN_KEY_SECONDS
        return httpx.Response(500, stream=httpx.ByteStream(b""))


async def test_callers_waiting_for_a_slow_fetch_share_its_result() -> None:
    time = [0.0]
    transport = SlowTransport(time)
    async with httpx.AsyncClient(transport=transport) as client:
        settings = trust("https://issuer.example")
        issuers = TrustedIssuers((settings,), client=client, monotonic=lambda: time[0])
        waiting = [asyncio.create_task(issuers.look_again(settings.issuer)) for _ in range(20)]
        await eventually(lambda: transport.asked == 1)
        transport.go_on.set()
        await asyncio.gather(*waiting)
    assert transport.asked == 1


async def test_cancelled_refresh_is_repeated_by_the_next_caller() -> None:
    time = [0.0]
    transport = SlowTransport(time)
    async with httpx.AsyncClient(transport=transport) as client:
        settings = trust("https://issuer.example")
        issuers = TrustedIssuers((settings,), client=client, monotonic=lambda: time[0])
        first = asyncio.create_task(issuers.look_again(settings.issuer))
        await eventually(lambda: transport.asked == 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        transport.go_on.set()
        time[0] += UNKNOWN_KEY_SECONDS
        await issuers.look_again(settings.issuer)
    assert transport.asked == 2
    assert issuers.faults() == {"theirs": "it answered 500"}


# Log events and metrics


async def test_issuer_log_names_the_configured_issuer_and_only_changes(
    issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        issuer.answer(
            DISCOVERY,
            json.dumps({"issuer": "https://evil.example", "jwks_uri": "https://evil.example"}),
        )
        for _ in range(3):
            await look(running, issuer)
        issuer.behave()
        for _ in range(3):
            await look(running, issuer)
    captured = capsys.readouterr()
    log = captured.out + captured.err
    assert [log.count(event) for event in ("issuer answers", "issuer does not answer")] == [2, 1]
    assert "theirs" in log
    assert issuer.url not in log
    assert "evil" not in log
