"""Credentials to token, token to principal: one answer for all wrong ones, bounds on all work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from auth.authenticator import Authenticator
from auth.keys import KeySet
from auth.passwords import MAX_PASSWORD_CHARS, NOBODY, hash_password
from auth.principal import Principal, Scope
from auth.settings import AuthSettings
from auth.store import MAX_NAME_CHARS, Account, AccountStore
from auth.tokens import TokenCodec
from schemas.errors import (
    InsufficientScope,
    InvalidCredentials,
    NotReady,
    RateLimited,
    Unauthenticated,
)
from tests.unit.auth.forge import CLAIMS, KEY, NOW, Clock, token

pytestmark = pytest.mark.anyio

HASH = hash_password("correct horse")
SCOPES = frozenset({Scope.CLASSIFY, Scope.MODELS_READ})


class FakeStore(AccountStore):
    """Two accounts in memory; a gate to make it slow, an error to make it fail."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def get(self, name: str) -> Account | None:
        self.asked.append(name)
        await self.gate.wait()
        if self.error:
            raise self.error
        if name not in {"anna", "gone"}:
            return None
        return Account(name, HASH, SCOPES, name == "gone", datetime.now(UTC))


class CountingExecutor(ThreadPoolExecutor):
    """The hashing thread, which tells what it was asked to hash."""

    def __init__(self) -> None:
        super().__init__(1)
        self.checked: list[tuple[Any, ...]] = []

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        self.checked.append(given)
        return super().submit(function, *given, **named)


class CountingCodec(TokenCodec):
    """Counts the signatures that were checked."""

    verified = 0

    def verify(self, token: str) -> Principal:
        self.verified += 1
        return super().verify(token)


class Desk:
    """An authenticator and everything around it."""

    def __init__(self, **settings: int) -> None:
        self.clock, self.store = Clock(), FakeStore()
        chosen = AuthSettings.model_validate(settings)
        self.codec = CountingCodec(KeySet([KEY]), chosen, clock=self.clock)
        self.authenticator = Authenticator(self.store, self.codec, chosen, clock=self.clock)
        self.authenticator.close()
        self.hashing = self.authenticator._hashing = CountingExecutor()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    yield made
    made.authenticator.close()


async def test_the_right_password_gives_a_token_with_all_scopes(desk: Desk) -> None:
    issued = await desk.authenticator.sign_in("anna", "correct horse", None)
    assert (issued.scopes, issued.expires_in) == (SCOPES, 900)
    principal = desk.authenticator.authenticate(issued.access_token)
    assert (principal.name, principal.scopes) == ("anna", SCOPES)


async def test_fewer_scopes_may_be_asked_for(desk: Desk) -> None:
    asked = frozenset({Scope.CLASSIFY})
    issued = await desk.authenticator.sign_in("anna", "correct horse", asked)
    assert issued.scopes == asked
    assert desk.authenticator.authenticate(issued.access_token).scopes == asked


async def test_a_scope_that_the_account_lacks_is_refused(desk: Desk) -> None:
    with pytest.raises(InsufficientScope) as caught:
        await desk.authenticator.sign_in(
            "anna", "correct horse", frozenset({Scope.ADMIN, Scope.CLASSIFY})
        )
    assert caught.value.scope == "admin"


WRONG = {
    "unknown name": ("nobody", "correct horse"),
    "wrong password": ("anna", "wrong horse"),
    "disabled account": ("gone", "correct horse"),
    "no password": ("anna", ""),
    "no name": ("", "correct horse"),
    "long name": ("a" * (MAX_NAME_CHARS + 1), "correct horse"),
    "huge name": ("a" * 10**6, "correct horse"),
    "huge password": ("anna", "p" * 10**6),
    "right password and more": ("anna", "correct horse" + " " * MAX_PASSWORD_CHARS),
    "zero byte": ("anna", "correct horse\0"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_credentials_are_told_apart_by_nothing_but_hashing_all_of_them(
    desk: Desk, name: str
) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        await desk.authenticator.sign_in(*WRONG[name], None)
    assert caught.value.detail == InvalidCredentials.default_detail
    ((encoded, password),) = desk.hashing.checked
    assert encoded in {HASH, NOBODY}
    assert len(password) <= MAX_PASSWORD_CHARS


async def test_an_unknown_name_is_hashed_as_dearly_as_a_known_one(desk: Desk) -> None:
    for name in ("nobody", "anna"):
        with pytest.raises(InvalidCredentials):
            await desk.authenticator.sign_in(name, "wrong", None)
    assert [encoded for encoded, _ in desk.hashing.checked] == [NOBODY, HASH]
    assert NOBODY.split("$")[:4] == HASH.split("$")[:4]


async def test_a_name_that_cannot_be_stored_is_not_even_looked_up(desk: Desk) -> None:
    for name, password in (WRONG["long name"], WRONG["huge password"]):
        with pytest.raises(InvalidCredentials):
            await desk.authenticator.sign_in(name, password, None)
    assert desk.store.asked == []


async def test_a_password_that_is_no_unicode_is_wrong(desk: Desk) -> None:
    with pytest.raises(InvalidCredentials):
        await desk.authenticator.sign_in("anna", "\ud800", None)


async def test_too_many_sign_ins_at_once_are_refused() -> None:
    desk = Desk(sign_ins_waiting=2)
    desk.store.gate.clear()
    waiting = [
        asyncio.create_task(desk.authenticator.sign_in("anna", "correct horse", None))
        for _ in range(2)
    ]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as caught:
        await asyncio.wait_for(desk.authenticator.sign_in("anna", "correct horse", None), 10)
    assert caught.value.retry_after == 1
    assert len(desk.store.asked) == 2, "the third one costs nothing"
    desk.store.gate.set()
    assert len(await asyncio.gather(*waiting)) == 2
    assert (await desk.authenticator.sign_in("anna", "correct horse", None)).expires_in == 900
    desk.authenticator.close()


async def test_whatever_ends_a_sign_in_makes_room_for_the_next() -> None:
    desk = Desk(sign_ins_waiting=1)
    desk.store.gate.clear()
    leaver = asyncio.create_task(desk.authenticator.sign_in("anna", "correct horse", None))
    await asyncio.sleep(0)
    leaver.cancel()
    await asyncio.wait([leaver])
    desk.store.gate.set()
    desk.store.error = NotReady("The account store does not answer.")
    with pytest.raises(NotReady):
        await desk.authenticator.sign_in("anna", "correct horse", None)
    desk.store.error = None
    with pytest.raises(InvalidCredentials):
        await desk.authenticator.sign_in("anna", "wrong", None)
    assert (await desk.authenticator.sign_in("anna", "correct horse", None)).expires_in == 900
    desk.authenticator.close()


async def test_a_token_is_verified_once_and_then_remembered(desk: Desk) -> None:
    good = token()
    first = desk.authenticator.authenticate(good)
    assert desk.authenticator.authenticate(good) is first
    assert desk.codec.verified == 1


async def test_a_remembered_token_expires_all_the_same(desk: Desk) -> None:
    good = token()
    desk.authenticator.authenticate(good)
    desk.clock.now = NOW + 600 + 29
    assert desk.authenticator.authenticate(good).name == "anna"
    desk.clock.now = NOW + 600 + 30
    with pytest.raises(Unauthenticated, match="expired"):
        desk.authenticator.authenticate(good)
    assert good not in desk.authenticator._verified


async def test_what_does_not_hold_is_never_remembered(desk: Desk) -> None:
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            desk.authenticator.authenticate("not a token")
    assert desk.codec.verified == 3
    assert not desk.authenticator._verified


@pytest.mark.parametrize("size", [0, 1, 3])
async def test_no_more_tokens_are_remembered_than_allowed(size: int) -> None:
    desk = Desk(token_cache_size=size)
    tokens = [token(claims={**CLAIMS, "jti": str(number)}) for number in range(5)]
    for good in tokens:
        assert desk.authenticator.authenticate(good).name == "anna"
        assert len(desk.authenticator._verified) <= size
    assert list(desk.authenticator._verified) == tokens[5 - size :]
    assert desk.authenticator.authenticate(tokens[0]).name == "anna"
    desk.authenticator.close()
