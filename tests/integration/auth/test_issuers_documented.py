"""Cognito and Entra, as configured in docs/operating/issuers.md, with stand-ins that issue tokens as they do."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.repository import ROOT
from tests.support.servers.issuer import KEYS, Issuer, issuer_process
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until


def documented(title: str, issuer: Issuer) -> dict[str, Any]:
    """The settings of that section, with the address of the stand-in."""
    text = (ROOT / "docs" / "operating" / "issuers.md").read_text().split(f"\n## {title}\n")[1]
    found = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert found
    (settings,) = tomllib.loads(found[1])["auth"]["issuers"]
    address = {"issuer": issuer.url}
    if "jwks_url" in settings:
        address["jwks_url"] = issuer.url + KEYS
    return {**settings, **address}


class Clouds(NamedTuple):
    server: LiveServer
    cognito: Issuer
    entra: Issuer


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[Clouds]:
    with ExitStack() as stack:
        cognito, entra = (stack.enter_context(issuer_process()) for _ in range(2))
        for issuer in (cognito, entra):
            issuer.rotate("RS256", keep=False)
        issuers = [
            documented("Amazon Cognito", cognito),
            documented("Microsoft Entra ID", entra),
        ]
        server = stack.enter_context(
            serve(
                tmp_path_factory.mktemp("clouds"),
                models=colours,
                arguments=(),
                POTOO_AUTH__ISSUERS=json.dumps(issuers),
            )
        )
        found = Clouds(server, cognito, entra)
        for token in (cognito_token(found), entra_token(found)):
            wait_until(lambda token=token: models(found, token) == 200)  # type: ignore[misc]
        yield found


def cognito_token(clouds: Clouds, **changes: object) -> str:
    """An access token of a user pool, from its hosted sign-in."""
    claims = {
        "aud": None,
        "nbf": None,
        "client_id": "APP-CLIENT",
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "username": "anna",
        "origin_jti": "11111111-2222-3333-4444-555555555555",
        "event_id": "66666666-7777-8888-9999-000000000000",
        "token_use": "access",
        "auth_time": 1_700_000_000,
        "version": 2,
        "scope": "openid potoo/classify",
    }
    return clouds.cognito.token(header={"typ": None}, kid="", **{**claims, **changes})


def entra_token(clouds: Clouds, **changes: object) -> str:
    """An access token of version 1.0 for a user."""
    claims = {
        "aud": "api://potoo",
        "client_id": None,
        "scope": None,
        "jti": None,
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "acr": "1",
        "aio": "AUQAu/8TAAAA",
        "amr": ["pwd", "mfa"],
        "appid": "CALLING-APP",
        "appidacr": "0",
        "ipaddr": "192.0.2.1",
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "rh": "0.AAAA",
        "scp": "classify User.Read",
        "tid": "72f988bf-86f1-41af-91ab-2d7cd011db47",
        "unique_name": "anna@example.com",
        "uti": "fqiBqXLPj0eQa82S-IYFAA",
        "ver": "1.0",
    }
    header = {"typ": "JWT", "x5t": "nOo3ZDrODXEK1jKWhXslHR_KXEg"}
    return clouds.entra.token(header=header, kid="", **{**claims, **changes})


def models(clouds: Clouds, token: str) -> int:
    return ask(clouds, "/v1/models", token)


def accounts(clouds: Clouds, token: str) -> int:
    """The status of a call that needs the scope ``admin``."""
    return ask(clouds, "/v1/admin/users", token)


def ask(clouds: Clouds, path: str, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(clouds.server.url + path, headers=headers, timeout=30).status_code


def test_cognito_access_token_is_accepted_without_audience(clouds: Clouds) -> None:
    token = cognito_token(clouds)
    assert (models(clouds, token), accounts(clouds, token)) == (200, 403)


def test_cognito_groups_grant_too(clouds: Clouds) -> None:
    groups = {"cognito:groups": ["potoo-admins"], "scope": "aws.cognito.signin.user.admin"}
    assert accounts(clouds, cognito_token(clouds, **groups)) == 200


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client_id": "ANOTHER"}, id="of another app client"),
        pytest.param({"client_id": None}, id="of no app client"),
        pytest.param({"client_id": None, "aud": "APP-CLIENT", "token_use": "id"}, id="ID token"),
        pytest.param({"token_use": "id"}, id="ID token with a client_id"),
    ],
)
def test_other_cognito_tokens_are_refused(clouds: Clouds, changes: dict[str, object]) -> None:
    assert models(clouds, cognito_token(clouds, **changes)) == 401


def test_entra_delegated_permission_is_accepted(clouds: Clouds) -> None:
    token = entra_token(clouds)
    assert (models(clouds, token), accounts(clouds, token)) == (200, 403)


def test_entra_roles_of_an_app_without_a_user_grant(clouds: Clouds) -> None:
    token = entra_token(clouds, scp=None, roles=["Operator"], idtyp="app")
    assert (models(clouds, token), accounts(clouds, token)) == (403, 200)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"appid": "ANOTHER-APP"}, id="of another app"),
        pytest.param({"appid": None, "nonce": "n"}, id="ID token"),
        pytest.param({"aud": "00000003-0000-0000-c000-000000000000"}, id="for Graph"),
    ],
)
def test_other_entra_tokens_are_refused(clouds: Clouds, changes: dict[str, object]) -> None:
    assert models(clouds, entra_token(clouds, **changes)) == 401
