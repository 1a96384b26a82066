"""Password guessing over HTTP is delayed, without a permanent lock-out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.callers.accounts import TOKEN_URL, Person, add_device, add_person, oauth_error
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

WRONG, SLOW_DOWN = (400, "invalid_grant"), (429, "slow_down")
LONGEST = 2


@pytest.fixture
def watchful(tmp_path: Path, colours: Path) -> Iterator[LiveServer]:
    """A separate server with short sign-in delays."""
    with serve(
        tmp_path,
        models=colours,
        POTOO_AUTH__LONGEST_WAIT_SECONDS=str(LONGEST),
        POTOO_AUTH__FAILURES_FREE="5",
    ) as live:
        yield live


def guess(who: Person, number: int) -> httpx.Response:
    """Send a wrong password with a new forged address each time."""
    headers = {
        "x-forwarded-for": f"192.0.2.{number}",
        "x-real-ip": f"192.0.2.{number}",
        "forwarded": f"for=192.0.2.{number}",
    }
    form = who.form(password=f"wrong {number}")
    return httpx.post(who.server.url + TOKEN_URL, data=form, headers=headers)


def can_sign_in(who: Person) -> bool:
    answer = httpx.post(who.server.url + TOKEN_URL, data=who.form())
    assert answer.status_code == 200 or oauth_error(answer) == SLOW_DOWN
    return answer.status_code == 200


def test_two_hundred_wrong_passwords_cause_a_bounded_wait(watchful: LiveServer) -> None:
    person = add_person(watchful)
    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(lambda number: guess(person, number), range(200)))
    errors = [oauth_error(answer) for answer in answers]
    assert set(errors) == {WRONG, SLOW_DOWN}
    # A few attempts are free, then about one per wait; the others were refused unchecked.
    assert errors.count(WRONG) < 100
    waits = [int(one.headers["retry-after"]) for one in answers if one.status_code == 429]
    assert max(waits) <= LONGEST
    assert wait_until(lambda: can_sign_in(person))
    assert httpx.get(f"{watchful.url}/readyz").status_code == 200
    assert '"event":"sign_in_blocked"' in watchful.events()


def test_known_address_does_not_wait_for_failures_of_others(
    watchful: LiveServer,
) -> None:
    known, victim = add_person(watchful), add_person(watchful)
    known.sign_in()
    while oauth_error(guess(victim, 1)) != SLOW_DOWN:
        pass
    assert can_sign_in(known)
    # Nor if the address has to wait because of all the names tried from it.
    newcomer = add_person(watchful)
    while not any(
        oauth_error(guess(Person(watchful, f"name {number}"), number)) == SLOW_DOWN
        for number in range(8)
    ):
        pass
    assert oauth_error(guess(newcomer, 1)) == SLOW_DOWN
    assert can_sign_in(known)
    assert wait_until(lambda: can_sign_in(newcomer))


def test_unknown_name_is_slowed_like_a_known_one(watchful: LiveServer) -> None:
    known, unknown = add_person(watchful), Person(watchful, "nobody")
    answers = {
        who.name: [oauth_error(guess(who, number)) for number in range(7)]
        for who in (known, unknown)
    }
    assert answers[known.name] == answers[unknown.name] == [WRONG] * 6 + [SLOW_DOWN]


def test_delayed_address_tells_only_who_signed_in_from_it(watchful: LiveServer) -> None:
    """Distinguishable, as docs/operating/operator.md says: a known pair, never a known name."""
    neighbour, elsewhere = add_person(watchful), add_person(watchful)
    neighbour.sign_in()
    while not any(
        oauth_error(guess(Person(watchful, f"name {number}"), number)) == SLOW_DOWN
        for number in range(8)
    ):
        pass
    # The delay may end meanwhile; another failure starts the next one.
    for who in (Person(watchful, "nobody"), elsewhere):
        assert SLOW_DOWN in {oauth_error(guess(who, number)) for number in range(3)}
    assert oauth_error(guess(neighbour, 1)) == WRONG


def test_client_secrets_are_protected_against_guessing(watchful: LiveServer) -> None:
    device = add_device(watchful, introspect=True)
    url, wrong = f"{watchful.url}/v1/auth/introspect", device.credentials | {"client_secret": "x"}
    seen = [oauth_error(httpx.post(url, data=wrong | {"token": "a"})) for _ in range(7)]
    assert seen == [(401, "invalid_client")] * 6 + [SLOW_DOWN]
    answer = httpx.post(watchful.url + TOKEN_URL, data=device.form())
    assert oauth_error(answer) == SLOW_DOWN
    assert int(answer.headers["retry-after"]) <= LONGEST


def test_concurrent_sign_ins_above_the_limit_get_slow_down(tmp_path: Path, colours: Path) -> None:
    with (
        serve(
            tmp_path,
            models=colours,
            POTOO_AUTH__SIGN_INS_WAITING="1",
            POTOO_AUTH__FAILURES_FREE="0",
        ) as server,
        ThreadPoolExecutor(16) as crowd,
    ):
        admin = Person(server, "admin")
        answers = list(crowd.map(lambda number: guess(admin, number), range(64)))
        assert {oauth_error(answer) for answer in answers} == {WRONG, SLOW_DOWN}
        assert server.token()
