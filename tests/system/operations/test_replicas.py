"""Two servers with separate folders and a shared PostgreSQL and Redis act as one."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from auth.keys import make_private
from tests.support.callers.oauth_client import App
from tests.support.servers.databases import fresh_database
from tests.support.servers.server import LiveServer, serve_together
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

REVOKED_WITHIN = 2.0
KEYS_SEEN_WITHIN = 10.0
CALLS_A_DAY = 60
FREE_FAILURES = 6


@dataclass(frozen=True)
class Pair:
    """Two replicas. ``password``: of the first account."""

    one: LiveServer
    other: LiveServer
    password: str

    def token(self) -> str:
        """An access token of the administrator, who has no rate limit."""
        answer = App(self.one.url, password=self.password).sign_in()
        token: str = answer.raise_for_status().json()["access_token"]
        return token

    def add_person(self) -> tuple[App, App]:
        """Add a user at the first replica; return the user's app at each replica."""
        name, password = f"person-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
        operator = App(self.one.url)
        added = operator.call(
            "POST", "/v1/admin/users", self.token(), json={"name": name, "password": password}
        )
        assert added.status_code == 201, added.text
        return App(self.one.url, name, password), App(self.other.url, name, password)


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, colours: Path, postgres: str, redis_url: str
) -> Iterator[Pair]:
    """Started at the same moment on an empty database, with one signing key."""
    environment = {
        "POTOO_ADMIN_PASSWORD": "",
        "POTOO_AUTH__SIGNING_KEY": make_private("ES256"),
        "POTOO_AUTH__RATE_STORE": redis_url,
        "POTOO_AUTH__RATE_PER_PRINCIPAL": f"{CALLS_A_DAY}/day",
        "POTOO_AUTH__FAILURES_FREE": str(FREE_FAILURES),
    }
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    with fresh_database(postgres) as database, ExitStack() as stack:
        environment["POTOO_DATABASE_URL"] = database
        one, other = serve_together(stack, folders, models=colours, **environment)
        shown = re.findall(r"password: +(\S+)", one.banner + other.banner)
        yield Pair(one, other, shown[0])


# The start


def test_replicas_started_together_create_one_administrator(pair: Pair) -> None:
    assert len(re.findall(r"password: ", pair.one.banner + pair.other.banner)) == 1
    assert (pair.one.events() + pair.other.events()).count('"account_added","account":"admin"') == 1
    for server in (pair.one, pair.other):
        assert App(server.url, password=pair.password).sign_in().status_code == 200


# Accounts and tokens


def test_person_added_on_one_replica_signs_in_on_another(pair: Pair) -> None:
    here, there = pair.add_person()
    assert there.sign_in().status_code == 200
    assert here.sign_in().status_code == 200


def test_token_of_one_replica_is_accepted_by_another(pair: Pair) -> None:
    here, there = pair.add_person()
    token = here.sign_in().json()["access_token"]
    assert there.call("GET", "/v1/models", token).status_code == 200
    sessions = there.call("GET", "/v1/auth/sessions", token).json()["sessions"]
    assert [session["current"] for session in sessions] == [True]


def test_client_added_on_one_replica_signs_in_on_another(pair: Pair) -> None:
    name, admin = f"camera-{uuid.uuid4().hex[:8]}", pair.token()
    added = App(pair.one.url).call("POST", "/v1/admin/clients", admin, json={"name": name})
    form = {
        "grant_type": "client_credentials",
        "client_id": name,
        "client_secret": added.json()["secret"],
    }
    token = App(pair.other.url).ask_token(**form).json()["access_token"]
    assert App(pair.one.url).call("GET", "/v1/models", token).status_code == 200
    assert App(pair.one.url).call("POST", f"/v1/admin/clients/{name}/secret", admin).is_success
    assert App(pair.other.url).ask_token(**form).status_code == 401
    assert dies(lambda: App(pair.other.url).call("GET", "/v1/models", token))


# Revocation


def dies(call: Callable[[], httpx.Response]) -> bool:
    """Whether accepted requests are refused soon."""
    return wait_until(lambda: call().status_code == 401, patience=REVOKED_WITHIN)


def revoke_access(pair: Pair, person: App, tokens: dict[str, str]) -> httpx.Response:
    del pair
    return person.revoke(tokens["access_token"])


def sign_out(pair: Pair, person: App, tokens: dict[str, str]) -> httpx.Response:
    del pair
    return person.revoke(tokens["refresh_token"])


def end_session(pair: Pair, person: App, tokens: dict[str, str]) -> httpx.Response:
    del pair
    (session,) = person.call("GET", "/v1/auth/sessions", tokens["access_token"]).json()["sessions"]
    path = f"/v1/auth/sessions/{session['id']}"
    return person.call("DELETE", path, tokens["access_token"])


def administer(method: str, path: str = "", body: Any = None) -> Callable[..., httpx.Response]:
    """Change a user as administrator."""

    def act(pair: Pair, person: App, tokens: dict[str, str]) -> httpx.Response:
        del tokens
        return person.call(method, f"/v1/admin/users/{person.name}{path}", pair.token(), json=body)

    return act


ENDS = {
    "the access token is revoked": (revoke_access, False),
    "the person signs out": (sign_out, True),
    "the session is ended": (end_session, True),
    "the account is disabled": (administer("PATCH", body={"disabled": True}), True),
    "the account is removed": (administer("DELETE"), True),
    "the password is changed": (administer("PUT", "/password", {"password": "another one"}), True),
}


@pytest.mark.parametrize("end", ENDS)
def test_revocation_on_one_replica_reaches_another(pair: Pair, end: str) -> None:
    act, ends_session = ENDS[end]
    here, there = pair.add_person()
    tokens = here.sign_in().json()

    def call() -> httpx.Response:
        return there.call("GET", "/v1/models", tokens["access_token"])

    assert call().status_code == 200
    assert act(pair, here, tokens).is_success
    assert dies(call)
    assert there.refresh(tokens["refresh_token"]).status_code == (400 if ends_session else 200)


# Refreshing at both replicas


def test_reused_refresh_token_is_detected_on_another_replica(pair: Pair) -> None:
    here, there = pair.add_person()
    first = here.sign_in().json()
    second = there.refresh(first["refresh_token"]).json()
    third = here.refresh(second["refresh_token"]).json()
    reused = there.refresh(first["refresh_token"])
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    assert here.refresh(third["refresh_token"]).status_code == 400
    for tokens in (first, second, third):
        assert dies(lambda: here.call("GET", "/v1/models", tokens["access_token"]))  # noqa: B023 - used at once


def test_concurrent_refreshes_on_two_replicas_give_one_success(pair: Pair) -> None:
    apps = pair.add_person()
    tokens = apps[0].sign_in().json()
    for _ in range(3):
        start = threading.Barrier(8)

        def race(number: int) -> httpx.Response:
            start.wait()  # noqa: B023 - they are through before the next round
            return apps[number % 2].refresh(tokens["refresh_token"])  # noqa: B023 - the same

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(race, range(8)))
        assert sorted(answer.status_code for answer in answers) == [200, *[429] * 7]
        (tokens,) = (answer.json() for answer in answers if answer.status_code == 200)
    assert apps[0].refresh(tokens["refresh_token"]).status_code == 200


# Limits


def test_calls_on_two_replicas_share_the_rate_limit(pair: Pair) -> None:
    here, there = pair.add_person()
    token = here.sign_in().json()["access_token"]
    calls = [app.call("GET", "/v1/models", token) for app in [here, there] * (CALLS_A_DAY // 2)]
    assert {call.status_code for call in calls} == {200}
    for app in (here, there):
        refused = app.call("GET", "/v1/models", token)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert "r=0" in refused.headers["ratelimit"]


def test_concurrent_sign_ins_on_two_replicas_all_succeed(pair: Pair) -> None:
    apps = pair.add_person()
    with ThreadPoolExecutor(FREE_FAILURES) as threads:
        answers = list(threads.map(lambda number: apps[number % 2].sign_in(), range(30)))
    assert {answer.status_code for answer in answers} == {200}


def test_failed_sign_ins_on_two_replicas_are_counted_together(pair: Pair) -> None:
    here, there = pair.add_person()
    right, here.password, there.password = here.password, "a guess", "a guess"
    guesses = [app.sign_in().status_code for app in [here, there] * (FREE_FAILURES // 2)]
    assert set(guesses) == {400}
    assert here.sign_in().status_code == 400  # the last one: from now on there are waits
    there.password = right
    blocked = there.sign_in()
    assert blocked.status_code == 429
    time.sleep(float(blocked.headers["retry-after"]))
    assert there.sign_in().status_code == 200
