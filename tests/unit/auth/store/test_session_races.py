"""Races of refresh tokens, and servers that die between two steps."""

from __future__ import annotations

import asyncio

import pytest

from auth.store.sessions import RefreshReused
from auth.store.tables import SessionRow
from schemas.errors import InvalidCredentials, RateLimited, ServiceError
from tests.support.auth.identity_kit import PHONE, SCOPES, Clock, Kit, open_kit

pytestmark = [pytest.mark.anyio, pytest.mark.sql]


async def opened_session(kit: Kit) -> str:
    await kit.add("anna")
    _, token = await kit.sessions.open("anna", "anna", SCOPES, PHONE)
    return token


async def use(kit: Kit, token: str) -> str | ServiceError:
    """The next token, or the error."""
    try:
        return (await kit.sessions.rotate(token))[1]
    except ServiceError as error:
        return error


async def test_concurrent_refreshes_with_one_token_give_one_successor(
    kit: Kit, tables_url: str, clock: Clock
) -> None:
    token = await opened_session(kit)
    async with open_kit(tables_url, clock) as other:
        answers = await asyncio.gather(*(use(one, token) for one in (kit, other) * 5))
    (winner,) = [answer for answer in answers if isinstance(answer, str)]
    losers = [answer for answer in answers if not isinstance(answer, str)]
    assert [type(loser) for loser in losers] == [RateLimited] * 9
    clock.advance(10)
    assert await kit.sessions.rotate(winner), "nobody who raced has ended the session"


async def test_concurrent_retries_with_one_token_give_one_successor(kit: Kit, clock: Clock) -> None:
    token = await opened_session(kit)
    await kit.sessions.rotate(token)
    clock.advance(5)
    answers = await asyncio.gather(*(use(kit, token) for _ in range(10)))
    (winner,) = [answer for answer in answers if isinstance(answer, str)]
    assert await kit.sessions.find(winner)
    assert await kit.count(SessionRow) == 1


async def test_concurrent_reuses_of_an_old_token_are_refused_and_reported(
    kit: Kit, clock: Clock
) -> None:
    token = await opened_session(kit)
    _, second = await kit.sessions.rotate(token)
    clock.advance(60)
    answers = await asyncio.gather(*(use(kit, token) for _ in range(10)), use(kit, second))
    thieves = answers[:10]
    assert all(isinstance(answer, InvalidCredentials) for answer in thieves)
    assert any(isinstance(answer, RefreshReused) for answer in thieves)
    assert await kit.count(SessionRow) == 0, "whoever came first, the family is dead"


async def test_concurrent_refreshes_of_many_devices_all_succeed(kit: Kit) -> None:
    await kit.add("anna")
    opened = await asyncio.gather(
        *(kit.sessions.open("anna", "anna", SCOPES, PHONE) for _ in range(40))
    )
    answers = await asyncio.gather(*(use(kit, token) for _, token in opened))
    assert all(isinstance(answer, str) for answer in answers)


async def test_server_crash_before_the_answer_leaves_one_valid_token(
    tables_url: str, clock: Clock
) -> None:
    async with open_kit(tables_url, clock) as dying:
        token = await opened_session(dying)
        _, unheard = await dying.sessions.rotate(token)
    async with open_kit(tables_url, clock) as next_one:
        clock.advance(1)
        assert await next_one.sessions.find(unheard), "the only one that is live"
        _, successor = await next_one.sessions.rotate(token)
        assert await next_one.sessions.find(unheard) is None
        assert await next_one.sessions.find(token) is None
        assert await next_one.sessions.find(successor)
        assert await next_one.count(SessionRow) == 1


async def test_sign_in_works_after_a_crash_and_an_expired_grace(
    tables_url: str, clock: Clock
) -> None:
    async with open_kit(tables_url, clock) as dying:
        token = await opened_session(dying)
        await dying.sessions.rotate(token)
    async with open_kit(tables_url, clock) as next_one:
        clock.advance(600)
        with pytest.raises(RefreshReused):
            await next_one.sessions.rotate(token)
        _, fresh = await next_one.sessions.open("anna", "anna", SCOPES, PHONE)
        assert await next_one.sessions.rotate(fresh)
        assert await next_one.count(SessionRow) == 1


async def test_cancelled_refresh_leaves_no_open_transaction(kit: Kit, clock: Clock) -> None:
    token = await opened_session(kit)
    # The driver reports to the loop that its connection was cut during a message.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    for turns in range(30):
        leaver = asyncio.create_task(use(kit, "prt_" + "A" * 64))
        for _ in range(turns):
            await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.wait([leaver])
    async with asyncio.timeout(60):
        _, token = await kit.sessions.rotate(token)
        clock.advance(1)
        assert await asyncio.gather(*(kit.sessions.of_account("anna") for _ in range(20)))
        assert await kit.sessions.rotate(token)
