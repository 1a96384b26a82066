"""A server with trusted issuers: accepted tokens, key rotation, revocation, outages."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.callers.answers import refusal
from tests.support.servers.issuer import DISCOVERY, KEYS, Issuer, issuer_process
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

UNAUTHENTICATED = (401, "unauthenticated")
SCOPES = {"pictures": ["classify", "models:read"], "numbers": ["metrics"]}


def trusting(name: str, issuer: Issuer, **changes: object) -> dict[str, object]:
    """Settings of an issuer whose keys are fetched every second."""
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


def accepts(server: LiveServer, token: str) -> bool:
    return models(server, token).status_code == 200


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


def test_token_of_a_trusted_issuer_is_accepted(trusting_server: LiveServer, sso: Issuer) -> None:
    token = sso.token(sub="anna")
    assert wait_until(lambda: is_up(trusting_server, "shop") == "1.0")
    assert models(trusting_server, token).status_code == 200
    assert wait_until(lambda: '"principal":"shop|anna"' in trusting_server.events())
    assert token not in trusting_server.events()


def test_issuer_token_has_only_the_configured_scopes(
    trusting_server: LiveServer, sso: Issuer
) -> None:
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
def test_invalid_issuer_tokens_are_refused(
    trusting_server: LiveServer, sso: Issuer, header: dict[str, str], claims: dict[str, Any]
) -> None:
    token = sso.token(header=header, **claims)
    assert refusal(models(trusting_server, token)) == UNAUTHENTICATED


def test_urls_in_token_headers_are_never_fetched(trusting_server: LiveServer, sso: Issuer) -> None:
    for name in ("jku", "x5u"):
        token = sso.token(header={name: f"{sso.url}/elsewhere"})
        assert refusal(models(trusting_server, token)) == UNAUTHENTICATED
    assert sso.requests("/elsewhere") == 0


def test_rotated_keys_work_at_once_until_withdrawn(
    trusting_server: LiveServer, sso: Issuer
) -> None:
    old = sso.token()
    old_kid = sso.published()[-1]["kid"]
    assert wait_until(lambda: models(trusting_server, old).status_code == 200)
    for algorithm in ("RS256", "ES256"):
        token = sso.token(kid=sso.rotate(algorithm))
        assert wait_until(partial(accepts, trusting_server, token))
    assert models(trusting_server, old).status_code == 200
    sso.withdraw(old_kid)
    assert wait_until(lambda: models(trusting_server, old).status_code == 401)
    assert refusal(models(trusting_server, sso.token(kid=old_kid))) == UNAUTHENTICATED
    assert models(trusting_server, sso.token()).status_code == 200


def test_misbehaving_issuer_keeps_its_keys_and_is_reported(
    trusting_server: LiveServer, sso: Issuer
) -> None:
    assert wait_until(lambda: models(trusting_server, sso.token()).status_code == 200)
    sso.answer(KEYS, "[" * 100_000)
    assert wait_until(lambda: is_up(trusting_server, "shop") == "0.0")
    assert models(trusting_server, sso.token()).status_code == 200
    sso.behave()
    assert wait_until(lambda: is_up(trusting_server, "shop") == "1.0")


def test_issuer_down_at_start_is_accepted_once_available(
    trusting_server: LiveServer, sso: Issuer, absent: Issuer
) -> None:
    assert wait_until(lambda: is_up(trusting_server, "absent") == "0.0")
    token = absent.token(sub="bert")
    assert refusal(models(trusting_server, token)) == UNAUTHENTICATED
    # Our own users and those of the other issuer are not affected.
    assert models(trusting_server, trusting_server.token()).status_code == 200
    assert wait_until(lambda: models(trusting_server, sso.token()).status_code == 200)
    assert httpx.get(f"{trusting_server.url}/readyz").status_code == 200
    absent.up()
    assert wait_until(lambda: models(trusting_server, token).status_code == 200)
    assert is_up(trusting_server, "absent") == "1.0"
    assert wait_until(lambda: '"principal":"absent|bert"' in trusting_server.events())


def test_revoked_issuer_token_is_refused(trusting_server: LiveServer, sso: Issuer) -> None:
    token, other = sso.token(jti=None), sso.token()
    assert wait_until(lambda: models(trusting_server, token).status_code == 200)
    answer = httpx.post(f"{trusting_server.url}/v1/auth/revoke", data={"token": token})
    assert answer.status_code == 200
    assert refusal(models(trusting_server, token)) == UNAUTHENTICATED
    assert models(trusting_server, other).status_code == 200


def test_issuer_accounts_have_no_sessions(trusting_server: LiveServer, sso: Issuer) -> None:
    headers = {"authorization": f"Bearer {sso.token(sub='admin')}"}
    answer = httpx.get(f"{trusting_server.url}/v1/auth/sessions", headers=headers)
    assert answer.json() == {"sessions": []}


def test_server_waiting_for_an_issuer_stops_on_request(tmp_path: Path, colours: Path) -> None:
    with issuer_process() as hanging:
        hanging.misbehave(DISCOVERY, "hang")
        settings = json.dumps([trusting("hangs", hanging)])
        with serve(tmp_path, models=colours, POTOO_AUTH__ISSUERS=settings) as live:
            assert wait_until(lambda: hanging.requests(DISCOVERY) == 1)
            assert models(live, live.token()).status_code == 200
            assert is_up(live, "hangs") == "0.0"
        assert live.process.returncode in {0, -signal.SIGTERM}
        assert "Traceback" not in live.events()


def test_issuer_can_be_configured_in_a_file(tmp_path: Path, colours: Path, issuer: Issuer) -> None:
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
