"""A server with trusted issuers: accepted tokens, key rotation, revocation, outages."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.callers.answers import refusal
from tests.support.servers.issuer import DISCOVERY, KEYS, Issuer, issuer_process
from tests.support.servers.server import LiveServer, serve

UNAUTHENTICATED = (401, "unauthenticated")
DEADLINE_SECONDS = 30
SCOPES = {"pictures": ["classify", "models:read"], "numbers": ["metrics"]}


def trusting(name: str, issuer: Issuer, **changes: object) -> dict[str, object]:
    """Settings of an issuer that is looked at every second."""
    return {
        "name": name,
        "issuer": issuer.url,
        "audience": ["potoo"],
        "scopes": SCOPES,
        "refresh_seconds": 1,
        **changes,
    }


def models(server: LiveServer, token: str) -> httpx.Response:
    """Response of /v1/models to a token."""
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(f"{server.url}/v1/models", headers=headers, timeout=30)


def is_up(server: LiveServer, name: str) -> str | None:
    """``potoo_issuer_up`` of that issuer, as Prometheus reads it."""
    series = f'potoo_issuer_up{{issuer="{name}"}} '
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return next((line.removeprefix(series) for line in lines if line.startswith(series)), None)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def sso() -> Iterator[Issuer]:
    with issuer_process() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def absent() -> Iterator[Issuer]:
    """Another issuer, which is down when the server starts."""
    with issuer_process() as issuer:
        issuer.down()
        yield issuer


@pytest.fixture(scope="module")
def trusting_server(
    tmp_path_factory: pytest.TempPathFactory, colours: Path, sso: Issuer, absent: Issuer
) -> Iterator[LiveServer]:
    settings = [
        trusting("shop", sso),
        # Keys are fetched once: later fetches are caused by requests.
        trusting("absent", absent, refresh_seconds=86_400),
    ]
    with serve(
        tmp_path_factory.mktemp("trusting"),
        models=colours,
        POTOO_AUTH__ISSUERS=json.dumps(settings),
    ) as live:
        yield live


def test_a_token_of_a_trusted_issuer_is_accepted(trusting_server: LiveServer, sso: Issuer) -> None:
    token = sso.token(sub="anna")
    until(lambda: is_up(trusting_server, "shop") == "1.0")
    assert models(trusting_server, token).status_code == 200
    until(lambda: '"principal":"shop|anna"' in trusting_server.events())
    assert token not in trusting_server.events()


def test_what_it_may_do_is_what_the_operator_said(trusting_server: LiveServer, sso: Issuer) -> None:
    answer = models(trusting_server, sso.token(scope="numbers"))
    assert refusal(answer) == (403, "insufficient_scope")
    answer = models(trusting_server, sso.token(scope="classify models:read admin"))
    assert refusal(answer) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({}, {"aud": "others"}),
        ({}, {"exp": 1}),
        ({}, {"iss": "potoo"}),
        ({}, {"sub": None}),
        ({"typ": "JWT"}, {}),
        ({"alg": "HS256"}, {}),
        ({"kid": "made up"}, {}),
        ({"jku": "http://127.0.0.1:9/keys"}, {}),
    ],
    ids=str,
)
def test_other_tokens_of_its_are_refused(
    trusting_server: LiveServer, sso: Issuer, header: dict[str, str], claims: dict[str, Any]
) -> None:
    token = sso.token(header=header, **claims)
    assert refusal(models(trusting_server, token)) == UNAUTHENTICATED


def test_nothing_is_fetched_from_where_a_token_says(
    trusting_server: LiveServer, sso: Issuer
) -> None:
    for name in ("jku", "x5u"):
        token = sso.token(header={name: f"{sso.url}/elsewhere"})
        assert refusal(models(trusting_server, token)) == UNAUTHENTICATED
    assert sso.requests("/elsewhere") == 0


def test_a_new_key_works_at_once_and_the_old_one_until_it_is_withdrawn(
    trusting_server: LiveServer, sso: Issuer
) -> None:
    old = sso.token()
    old_kid = sso.published()[-1]["kid"]
    until(lambda: models(trusting_server, old).status_code == 200)
    for algorithm in ("RS256", "ES256"):
        new_kid = sso.rotate(algorithm)
        until(lambda: models(trusting_server, sso.token(kid=new_kid)).status_code == 200)  # noqa: B023 - called before it changes
    assert models(trusting_server, old).status_code == 200
    sso.withdraw(old_kid)
    until(lambda: models(trusting_server, old).status_code == 401)
    assert refusal(models(trusting_server, sso.token(kid=old_kid))) == UNAUTHENTICATED
    assert models(trusting_server, sso.token()).status_code == 200


def test_an_issuer_that_misbehaves_keeps_its_keys_and_is_reported(
    trusting_server: LiveServer, sso: Issuer
) -> None:
    until(lambda: models(trusting_server, sso.token()).status_code == 200)
    sso.answer(KEYS, "[" * 100_000)
    until(lambda: is_up(trusting_server, "shop") == "0.0")
    assert models(trusting_server, sso.token()).status_code == 200
    sso.behave()
    until(lambda: is_up(trusting_server, "shop") == "1.0")


def test_an_issuer_that_was_down_at_the_start_is_accepted_once_it_is_up(
    trusting_server: LiveServer, sso: Issuer, absent: Issuer
) -> None:
    until(lambda: is_up(trusting_server, "absent") == "0.0")
    token = absent.token(sub="bert")
    assert refusal(models(trusting_server, token)) == UNAUTHENTICATED
    # Neither our own people nor the other issuer's notice.
    assert models(trusting_server, trusting_server.token()).status_code == 200
    until(lambda: models(trusting_server, sso.token()).status_code == 200)
    assert httpx.get(f"{trusting_server.url}/readyz").status_code == 200
    absent.up()
    until(lambda: models(trusting_server, token).status_code == 200)
    assert is_up(trusting_server, "absent") == "1.0"
    until(lambda: '"principal":"absent|bert"' in trusting_server.events())


def test_a_revoked_token_of_theirs_is_refused(trusting_server: LiveServer, sso: Issuer) -> None:
    token, other = sso.token(jti=None), sso.token()
    until(lambda: models(trusting_server, token).status_code == 200)
    answer = httpx.post(f"{trusting_server.url}/v1/auth/revoke", data={"token": token})
    assert answer.status_code == 200
    assert refusal(models(trusting_server, token)) == UNAUTHENTICATED
    assert models(trusting_server, other).status_code == 200


def test_they_have_no_sessions_here(trusting_server: LiveServer, sso: Issuer) -> None:
    headers = {"authorization": f"Bearer {sso.token(sub='admin')}"}
    answer = httpx.get(f"{trusting_server.url}/v1/auth/sessions", headers=headers)
    assert answer.json() == {"sessions": []}


def test_a_server_that_waits_for_an_issuer_stops_when_it_is_told_to(
    tmp_path: Path, colours: Path
) -> None:
    with issuer_process() as hanging:
        hanging.misbehave(DISCOVERY, "hang")
        settings = json.dumps([trusting("hangs", hanging)])
        with serve(tmp_path, models=colours, POTOO_AUTH__ISSUERS=settings) as live:
            until(lambda: hanging.requests(DISCOVERY) == 1)
            assert models(live, live.token()).status_code == 200
            assert is_up(live, "hangs") == "0.0"
        assert live.process.returncode in {0, -signal.SIGTERM}
        assert "Traceback" not in live.events()


def test_a_configuration_file_may_say_it_too(tmp_path: Path, colours: Path, issuer: Issuer) -> None:
    config = tmp_path / "potoo.toml"
    config.write_text(f"""
        [[auth.issuers]]
        name = "shop"
        issuer = "{issuer.url}"
        audience = ["potoo"]
        token_types = ["JWT"]
        required_claims = {{ typ = "Bearer" }}
        scope_claim = "realm_access.roles"

        [auth.issuers.scopes]
        seller = ["models:read"]
    """)
    arguments = ("--config", str(config))
    with serve(tmp_path, models=colours, arguments=arguments) as live:
        said: dict[str, Any] = {"realm_access": {"roles": ["seller"]}, "scope": None}
        token = issuer.token(header={"typ": "JWT"}, typ="Bearer", **said)
        assert models(live, token).status_code == 200
        id_token = issuer.token(header={"typ": "JWT"}, typ="ID", **said)
        assert refusal(models(live, id_token)) == UNAUTHENTICATED
