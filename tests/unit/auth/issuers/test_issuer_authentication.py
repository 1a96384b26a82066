"""Authentication with a trusted issuer's token: keys fetched, token verified and cached."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from auth.authenticator import Authenticator
from auth.issuers import UNKNOWN_KEY_SECONDS, TrustedIssuers
from auth.keys import KeySet
from auth.settings import AuthSettings
from auth.signing.verifier import Verifier
from auth.store.revocations import Kind, Revocations
from schemas.errors import Unauthenticated
from tests.support.auth.forge import KEY
from tests.support.auth.identity_kit import DAY, opened
from tests.support.auth.issuer_bench import Bench, looked, trust
from tests.support.servers.issuer import KEYS, Issuer

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def door(
    issuer: Issuer, folder: Path
) -> AsyncIterator[tuple[Authenticator, Bench, Revocations]]:
    """The authenticator; keys are fetched only on demand during a day."""
    now, looks = [0.0], list[tuple[str, bool]]()

    def forget() -> None:
        authenticator.forget()

    settings = AuthSettings(issuers=(trust(issuer.url, scopes={"pictures": ["classify"]}),))
    async with opened(f"sqlite:///{folder / 'potoo.db'}") as database:
        issuers = TrustedIssuers(
            settings.issuers,
            on_change=forget,
            on_look=lambda name, is_up: looks.append((name, is_up)),
            monotonic=lambda: now[0],
        )
        revocations = Revocations(database, longest_life=DAY, max_age=DAY, on_change=forget)
        await revocations.refresh()
        authenticator = Authenticator(
            Verifier(KeySet([KEY]), issuers, settings), revocations, issuers, cache_size=10
        )
        async with issuers.running():
            yield authenticator, Bench(issuers, now, looks), revocations


async def test_first_caller_waits_for_issuer_keys_and_is_accepted(
    issuer: Issuer, tmp_path: Path
) -> None:
    async with door(issuer, tmp_path) as (authenticator, _, _):
        principal = await authenticator.authenticate(issuer.token(sub="anna"))
        assert (principal.name, set(principal.scopes)) == ("theirs|anna", {"classify"})


async def test_new_issuer_key_is_fetched_before_its_token_is_refused(
    issuer: Issuer, tmp_path: Path
) -> None:
    async with door(issuer, tmp_path) as (authenticator, bench, _):
        await authenticator.authenticate(issuer.token())
        issuer.rotate("RS256")
        bench.later(UNKNOWN_KEY_SECONDS)
        assert (await authenticator.authenticate(issuer.token(sub="bert"))).name == "theirs|bert"


async def test_unknown_key_ids_are_refused_without_repeated_fetches(
    issuer: Issuer, tmp_path: Path
) -> None:
    async with door(issuer, tmp_path) as (authenticator, bench, _):
        await authenticator.authenticate(issuer.token())
        await looked(bench, 2)  # that caller's, and the one at the start
        asked = issuer.requests(KEYS)
        for number in range(20):
            with pytest.raises(Unauthenticated):
                await authenticator.authenticate(issuer.token(header={"kid": f"{number}"}))
        assert issuer.requests(KEYS) == asked


async def test_cached_token_is_refused_after_its_key_is_withdrawn(
    issuer: Issuer, tmp_path: Path
) -> None:
    async with door(issuer, tmp_path) as (authenticator, bench, _):
        token = issuer.token()
        await authenticator.authenticate(token)
        issuer.rotate(keep=False)
        bench.later(UNKNOWN_KEY_SECONDS)
        await authenticator.authenticate(token)  # there was no fetch since
        await authenticator.authenticate(issuer.token())  # which caused a fetch
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(token)


async def test_replaced_key_under_the_same_id_invalidates_old_tokens(
    issuer: Issuer, tmp_path: Path
) -> None:
    async with door(issuer, tmp_path) as (authenticator, bench, _):
        token = issuer.token()
        await authenticator.authenticate(token)
        issuer.replace()
        bench.later(UNKNOWN_KEY_SECONDS)
        await bench.issuers.look_again(issuer.url)
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(token)
        assert (await authenticator.authenticate(issuer.token())).name == "theirs|anna"


async def test_issuer_tokens_and_subjects_can_be_revoked(issuer: Issuer, tmp_path: Path) -> None:
    async with door(issuer, tmp_path) as (authenticator, _, revocations):
        first, second = issuer.token(jti="first"), issuer.token(jti="second")
        for token in (first, second):
            await authenticator.authenticate(token)
        await revocations.add([(Kind.TOKEN, "first"), (Kind.ACCOUNT, "anna")])
        await authenticator.authenticate(first)  # these are Potoo's own names
        await revocations.add([(Kind.TOKEN, "theirs|first")])
        with pytest.raises(Unauthenticated, match="revoked"):
            await authenticator.authenticate(first)
        await authenticator.authenticate(second)
        await revocations.add([(Kind.ACCOUNT, "theirs|anna")])
        with pytest.raises(Unauthenticated, match="revoked"):
            await authenticator.authenticate(second)
        later = issuer.token(iat=int(time.time()) + 5)
        assert (await authenticator.authenticate(later)).name == "theirs|anna"
