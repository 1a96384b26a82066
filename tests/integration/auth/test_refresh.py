"""Staying signed in: refresh tokens over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.callers.accounts import (
    TOKEN_URL,
    Person,
    add_device,
    add_person,
    bearer,
    holds,
    oauth_error,
    refreshed,
)
from tests.support.callers.answers import refusal
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

INVALID = (400, "invalid_grant")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server without a grace period for repeated refresh tokens."""
    folder = tmp_path_factory.mktemp("strict")
    with serve(folder, models=colours, POTOO_AUTH__REFRESH_GRACE_SECONDS="0") as live:
        yield live


def test_refresh_returns_a_new_token_pair(server: LiveServer, person: Person) -> None:
    first = person.sign_in()
    answer = refreshed(server, first["refresh_token"])
    second = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert set(second) == set(first)
    assert second["scope"] == first["scope"]
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert holds(server, second["access_token"])
    assert holds(server, first["access_token"])  # until it expires
    assert refreshed(server, second["refresh_token"]).status_code == 200


def test_refresh_token_has_a_recognisable_format(person: Person) -> None:
    assert re.fullmatch(r"prt_[A-Za-z0-9_-]{64}", person.sign_in()["refresh_token"])


def test_reused_refresh_token_ends_its_session(strict: LiveServer) -> None:
    person = add_person(strict)
    first, other = person.sign_in(), person.sign_in()
    second = refreshed(strict, first["refresh_token"]).json()
    third = refreshed(strict, second["refresh_token"]).json()
    assert oauth_error(refreshed(strict, first["refresh_token"])) == INVALID
    assert oauth_error(refreshed(strict, third["refresh_token"])) == INVALID
    issued = [one["access_token"] for one in (first, second, third)]
    assert wait_until(lambda: not any(holds(strict, token) for token in issued))
    assert refusal(httpx.get(f"{strict.url}/v1/models", headers=bearer(issued[2])))[0] == 401
    # Another device of the same user is not affected.
    assert holds(strict, other["access_token"])
    assert refreshed(strict, other["refresh_token"]).status_code == 200
    assert '"event":"refresh_reused"' in strict.events()


def test_lost_refresh_answer_can_be_requested_again(server: LiveServer, person: Person) -> None:
    first = person.sign_in()
    lost = refreshed(server, first["refresh_token"]).json()
    again: list[httpx.Response] = []

    def is_answered() -> bool:
        again.append(refreshed(server, first["refresh_token"]))
        return again[-1].status_code == 200

    assert wait_until(is_answered)
    # An immediate repetition gets Retry-After.
    assert {oauth_error(answer) for answer in again[:-1]} <= {(429, "slow_down")}
    fresh = again[-1].json()["refresh_token"]
    assert refreshed(server, fresh).status_code == 200
    # Using the lost token now ends the session.
    assert oauth_error(refreshed(server, lost["refresh_token"])) == INVALID
    assert oauth_error(refreshed(server, fresh)) == INVALID


def test_one_of_many_concurrent_refreshes_succeeds(server: LiveServer, person: Person) -> None:
    token = person.sign_in()["refresh_token"]
    with ThreadPoolExecutor(10) as crowd:
        answers = list(crowd.map(lambda _: refreshed(server, token), range(10)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    lost = {oauth_error(answer) for answer in answers if answer.status_code != 200}
    assert lost == {(429, "slow_down")}
    assert refreshed(server, won[0].json()["refresh_token"]).status_code == 200


def test_refresh_can_narrow_but_not_widen_scopes(server: LiveServer, person: Person) -> None:
    token = person.sign_in(scope="classify")["refresh_token"]
    for more in ("admin", "models:read", "classify models:read"):
        assert oauth_error(refreshed(server, token, scope=more)) == (400, "invalid_scope")
    assert oauth_error(refreshed(server, token, scope="nonsense")) == (400, "invalid_scope")
    answer = refreshed(server, token, scope="classify")  # the failed call did not use up the token
    assert (answer.status_code, answer.json()["scope"]) == (200, "classify")


def test_narrowed_refresh_does_not_narrow_the_session(server: LiveServer, person: Person) -> None:
    first = person.sign_in()
    narrow = refreshed(server, first["refresh_token"], scope="classify").json()
    assert narrow["scope"] == "classify"
    access = bearer(narrow["access_token"])
    assert refusal(httpx.get(f"{server.url}/v1/models", headers=access)) == (
        403,
        "insufficient_scope",
    )
    assert refreshed(server, narrow["refresh_token"]).json()["scope"] == first["scope"]


def test_refresh_token_is_bound_to_its_client(server: LiveServer, person: Person) -> None:
    issued = person.sign_in(client_id="the app")
    answer = refreshed(server, issued["refresh_token"], client_id="the app")
    token = answer.json()["refresh_token"]
    assert oauth_error(refreshed(server, token, client_id="another app")) == INVALID
    assert oauth_error(refreshed(server, token, client_id="the app")) == INVALID
    assert not holds(server, issued["access_token"])


def test_access_and_refresh_tokens_are_not_interchangeable(
    server: LiveServer, person: Person
) -> None:
    issued = person.sign_in()
    access, refresh = issued["access_token"], issued["refresh_token"]
    assert oauth_error(refreshed(server, access)) == INVALID
    answer = httpx.get(f"{server.url}/v1/models", headers=bearer(refresh))
    assert refusal(answer) == (401, "unauthenticated")
    assert holds(server, access)
    assert refreshed(server, refresh).status_code == 200


@pytest.mark.parametrize(
    "text",
    ["x", "prt_", "prt_" + "A" * 64, "prt_" + "A" * 63, "prt_" + "A" * 65, "PRT_{rest}", "prt_{rest}=", "prt_{rest}A", " prt_{rest}", "prt_{rest}\n", "prt_{rest}\0", "prt_" + "é" * 64, "prt_" + "\ud83d\udc26" * 32, "prt_" + "A" * 10_000, "' OR ''='", "null"],
)  # fmt: skip
def test_malformed_refresh_token_is_refused(server: LiveServer, person: Person, text: str) -> None:
    token = person.sign_in()["refresh_token"]
    spelled = text.replace("{rest}", token.removeprefix("prt_"))
    spelled = spelled.encode("utf-16", "surrogatepass").decode("utf-16")
    assert oauth_error(refreshed(server, spelled)) == INVALID
    assert refreshed(server, token).status_code == 200


def test_refresh_token_has_a_single_spelling(server: LiveServer, person: Person) -> None:
    for _ in range(20):  # nearly every token has one of the two characters
        token: str = person.sign_in()["refresh_token"]
        other = token[:4] + token[4:].replace("-", "+").replace("_", "/")
        if other != token:
            break
    assert other != token
    assert oauth_error(refreshed(server, other)) == INVALID
    assert refreshed(server, token).status_code == 200


def test_client_cannot_refresh(server: LiveServer) -> None:
    device = add_device(server)
    form = device.form(grant_type="refresh_token")
    answer = httpx.post(server.url + TOKEN_URL, data=form)
    assert oauth_error(answer) == (400, "invalid_request")


def test_session_above_the_limit_evicts_the_least_recently_seen(
    tmp_path: Path, colours: Path
) -> None:
    with serve(tmp_path, models=colours, POTOO_AUTH__SESSIONS_PER_ACCOUNT="2") as server:
        person = add_person(server)
        first, second = person.sign_in(), person.sign_in()
        first = refreshed(server, first["refresh_token"]).json()
        third = person.sign_in()
        assert not holds(server, second["access_token"])
        assert oauth_error(refreshed(server, second["refresh_token"])) == INVALID
        for kept in (first, third):
            assert holds(server, kept["access_token"])
            assert refreshed(server, kept["refresh_token"]).status_code == 200
