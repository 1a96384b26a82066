"""Bearer token to principal: verification, cache, expiry of the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auth.authenticator import Authenticator
from auth.issuer_settings import IssuerSettings
from auth.issuers import TrustedIssuers
from auth.keys import KeySet
from auth.principal import Principal
from auth.settings import AuthSettings
from auth.signing.tokens import VerificationKey, verification_key
from auth.signing.verifier import Verifier
from auth.store.database import Database
from auth.store.revocations import Kind, Revocations
from schemas.errors import NotReady, Unauthenticated
from tests.support.auth.forge import CLAIMS, HEADER, KEY, NOW, STRANGER, Clock, as_key, token
from tests.support.auth.identity_kit import opened

pytestmark = pytest.mark.anyio

SKEW = 30
ISSUER = IssuerSettings(name="sso", issuer="https://sso.example", audience=("potoo",))
THEIRS = {**CLAIMS, "iss": ISSUER.issuer}


class CountingVerifier(Verifier):
    """Counts verified tokens."""

    looked_at = 0

    def verify(self, token: str) -> Principal:
        self.looked_at += 1
        return super().verify(token)


class OneIssuer(TrustedIssuers):
    """Trusts one issuer without fetching: tests set its keys."""

    def __init__(self) -> None:
        super().__init__((ISSUER,))
        self.published: dict[str, VerificationKey] = {}
        self.known: dict[str, VerificationKey] = {}
        self.looks = 0

    def key(self, issuer: str, kid: str) -> VerificationKey | None:
        assert issuer == ISSUER.issuer
        return self.known.get(kid)

    async def look_again(self, issuer: str) -> None:
        assert issuer == ISSUER.issuer
        self.looks += 1
        self.known = dict(self.published)


class Door:
    """An authenticator and its dependencies."""

    def __init__(self, database: Database, cache_size: int = 3) -> None:
        self.clock, self.issuers = Clock(), OneIssuer()
        self.verifier = CountingVerifier(
            KeySet([KEY]), self.issuers, AuthSettings(), clock=self.clock
        )
        self.revocations = Revocations(
            database,
            longest_life=3600,
            max_age=3600,
            on_change=self.forget,
            clock=self.clock,
            monotonic=self.clock,
        )
        self.authenticator = Authenticator(
            self.verifier, self.revocations, self.issuers, cache_size=cache_size, clock=self.clock
        )

    def forget(self) -> None:
        self.authenticator.forget()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Only one database kind: these tests do not depend on it."""
    async with opened(f"sqlite:///{tmp_path / 'potoo.db'}") as database:
        yield database


@pytest.fixture
async def door(database: Database) -> Door:
    door = Door(database)
    await door.revocations.refresh()
    return door


def numbered(number: int) -> str:
    return token(claims={**CLAIMS, "jti": f"token {number}"})


async def test_token_is_verified_once_then_cached(door: Door) -> None:
    good = token()
    first = await door.authenticator.authenticate(good)
    assert (first.name, first.token_id) == ("anna", "one")
    assert await door.authenticator.authenticate(good) is first
    assert door.verifier.looked_at == 1


async def test_cached_token_still_expires(door: Door) -> None:
    good = token()
    await door.authenticator.authenticate(good)
    door.clock.now = NOW + 600 + SKEW - 1
    assert (await door.authenticator.authenticate(good)).name == "anna"
    door.clock.now = NOW + 600 + SKEW
    with pytest.raises(Unauthenticated, match="expired"):
        await door.authenticator.authenticate(good)
    assert good not in door.authenticator._verified


async def test_invalid_token_is_never_cached(door: Door) -> None:
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await door.authenticator.authenticate("not a token")
    assert door.verifier.looked_at == 3
    assert not door.authenticator._verified


@pytest.mark.parametrize("size", [0, 1, 3])
async def test_token_cache_never_exceeds_its_size(database: Database, size: int) -> None:
    door = Door(database, cache_size=size)
    await door.revocations.refresh()
    tokens = [numbered(number) for number in range(5)]
    for good in tokens:
        assert (await door.authenticator.authenticate(good)).name == "anna"
        assert len(door.authenticator._verified) <= size
    assert list(door.authenticator._verified) == tokens[5 - size :]
    assert (await door.authenticator.authenticate(tokens[0])).name == "anna"


async def test_revoked_token_is_removed_from_the_cache(door: Door) -> None:
    revoked, other = numbered(1), numbered(2)
    for good in (revoked, other):
        await door.authenticator.authenticate(good)
    await door.revocations.add([(Kind.TOKEN, "token 1")])
    assert not door.authenticator._verified
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="revoked"):
            await door.authenticator.authenticate(revoked)
    assert list(door.authenticator._verified) == []
    assert (await door.authenticator.authenticate(other)).token_id == "token 2"


async def test_re_signed_copy_of_a_revoked_token_is_refused(door: Door) -> None:
    await door.revocations.add([(Kind.TOKEN, "one")])
    for again in (token(), token()):  # an ES256 signature differs each time
        with pytest.raises(Unauthenticated, match="revoked"):
            await door.authenticator.authenticate(again)


async def test_token_revoked_by_another_server_is_refused_after_refresh(
    door: Door, database: Database
) -> None:
    good, other = token(), Door(database)
    await door.authenticator.authenticate(good)
    await other.revocations.add([(Kind.TOKEN, "one")])
    assert (await door.authenticator.authenticate(good)).name == "anna"
    await door.revocations.refresh()
    with pytest.raises(Unauthenticated, match="revoked"):
        await door.authenticator.authenticate(good)


async def test_removed_key_invalidates_cached_tokens(door: Door) -> None:
    good = token()
    await door.authenticator.authenticate(good)
    door.verifier.use(KeySet([as_key(STRANGER)]))
    door.authenticator.forget()
    with pytest.raises(Unauthenticated):
        await door.authenticator.authenticate(good)
    door.verifier.use(KeySet([as_key(STRANGER), KEY]))
    assert (await door.authenticator.authenticate(good)).name == "anna"


async def test_stale_revocation_list_refuses_cached_tokens(
    door: Door,
) -> None:
    lasting = {**CLAIMS, "exp": NOW + 100_000}
    good, new = token(claims=lasting), token(claims={**lasting, "jti": "two"})
    await door.authenticator.authenticate(good)
    door.clock.now += 3601
    for again in (good, new, good):
        with pytest.raises(NotReady):
            await door.authenticator.authenticate(again)
    assert new not in door.authenticator._verified
    await door.revocations.refresh()
    assert (await door.authenticator.authenticate(good)).name == "anna"


def their_token(kid: str) -> str:
    return token(header={**HEADER, "kid": kid}, claims=THEIRS, private=STRANGER)


async def test_unknown_issuer_key_is_fetched_once(door: Door) -> None:
    key = as_key(STRANGER)
    door.issuers.published = {"new": verification_key(key.public, "ES256")}
    good = their_token("new")
    principal = await door.authenticator.authenticate(good)
    assert principal.name == "sso|anna"
    assert await door.authenticator.authenticate(good) is principal
    assert door.issuers.looks == 1


async def test_unpublished_issuer_key_is_refused_after_one_fetch(door: Door) -> None:
    with pytest.raises(Unauthenticated):
        await door.authenticator.authenticate(their_token("made up"))
    assert door.issuers.looks == 1
    assert door.verifier.looked_at == 2


async def test_unknown_local_key_or_issuer_causes_no_fetch(door: Door) -> None:
    with pytest.raises(Unauthenticated):
        await door.authenticator.authenticate(token(header={**HEADER, "kid": "made up"}))
    stranger = token(claims={**CLAIMS, "iss": "https://stranger.example"})
    with pytest.raises(Unauthenticated):
        await door.authenticator.authenticate(stranger)
    assert door.issuers.looks == 0
