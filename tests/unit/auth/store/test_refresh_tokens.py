"""Refresh tokens as text: one format with a prefix, stored only as digests."""

from __future__ import annotations

import pytest

from auth.store.sessions import PREFIX, RefreshReused, is_refresh_token
from auth.store.tables import SessionRow
from schemas.errors import InvalidCredentials
from tests.support.auth.identity_kit import PHONE, SCOPES, Clock, Kit

pytestmark = pytest.mark.anyio


async def sign_in(kit: Kit) -> str:
    """The first refresh token of a new session."""
    await kit.add("anna")
    _, token = await kit.sessions.open("anna", "anna", SCOPES, PHONE)
    return token


def altered(token: str) -> dict[str, str]:
    return {
        "empty": "",
        "prefix alone": PREFIX,
        "another secret": token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
        "another handle": PREFIX + "AAAA" + token[len(PREFIX) + 4 :],
        "another prefix": "pcs_" + token[len(PREFIX) :],
        "without prefix": token[len(PREFIX) :],
        "longer": token + "A",
        "padded": token + "=",
        "shorter": token[:-1],
        "line end": token[:-1] + "\n",
        "space": " " + token,
        "not base64": token[:-1] + "!",
        "standard base64": token[:-2] + "+/",
        "zero byte": token[:-1] + "\0",
        "not ASCII": token[:-1] + "é",
        "surrogate": token[:-1] + "\ud800",
        "long": PREFIX + "A" * 1_000_000,
        "jwt": "eyJhbGciOiJub25lIn0.e30.",
    }


@pytest.mark.parametrize("name", altered(PREFIX + "A" * 64))
async def test_altered_refresh_token_is_refused(kit: Kit, name: str) -> None:
    token = await sign_in(kit)
    # A right handle with a wrong secret means that an old token was copied.
    wrong = altered(token)[name]
    with pytest.raises(InvalidCredentials) as caught:
        await kit.sessions.rotate(wrong)
    assert await kit.sessions.find(wrong) is None
    knows_the_handle = name == "another secret"
    assert isinstance(caught.value, RefreshReused) == knows_the_handle
    assert await kit.count(SessionRow) == (0 if knows_the_handle else 1)


async def test_altered_refresh_token_matches_no_session(kit: Kit) -> None:
    token = await sign_in(kit)
    for name, wrong in altered(token).items():
        if name != "another secret":
            assert await kit.sessions.family(wrong) is None


async def test_session_table_holds_no_part_of_a_token(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    clock.advance(1)
    _, second = await kit.sessions.rotate(first)
    dumped = await kit.dump(SessionRow)
    for token in (first, second):
        for start in range(0, len(token) - 12, 4):
            assert token[start : start + 12] not in dumped


def test_refresh_tokens_are_recognised_by_their_prefix() -> None:
    assert is_refresh_token(PREFIX + "anything")
    assert not is_refresh_token("eyJhbGciOiJFUzI1NiJ9.e30.c2ln")
