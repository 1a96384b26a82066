"""Settings of identity and web access: accepted and refused values."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from auth.principal import Scope
from service.settings import SettingsError, describe_settings, load_settings
from tests.support.auth.forge import PRIVATE, SECRET, pem

ISSUER: dict[str, object] = {
    "name": "corp",
    "issuer": "https://login.example/realms/corp",
    "audience": ["potoo"],
}
TABLES = """
[auth]
issuer = "https://potoo.example"

[[auth.issuers]]
name = "corp"
issuer = "https://login.example/realms/corp"
audience = ["potoo", "account"]
scope_claim = "realm_access.roles"
required_claims = { typ = "Bearer" }
token_types = ["JWT"]
default_scopes = ["models:read"]

[auth.issuers.scopes]
guest = ["classify"]
operator = ["classify", "models:write"]

[[auth.issuers]]
name = "firebase"
issuer = "https://securetoken.example/project"
audience = ["project"]
jwks_url = "https://keys.example/jwk"
algorithms = ["RS256"]
refresh_seconds = 60
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "potoo.toml"


def refused(config: Path | None = None, **given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, **given)
    return str(caught.value)


def test_defaults_are_valid() -> None:
    settings = load_settings()
    assert (settings.database_url, settings.cors_origins) == (None, ())
    assert (settings.docs, settings.metrics) == ("open", "open")
    auth = settings.auth
    assert (auth.issuer, auth.audience, auth.algorithm) == ("potoo", "potoo", "ES256")
    assert (auth.access_token_seconds, auth.refresh_token_days) == (900, 30)
    assert (auth.clock_skew_seconds, auth.refresh_grace_seconds) == (30, 30)
    assert (auth.rate_per_principal, auth.rate_per_address, auth.rate_store) == ("", "", None)
    assert (auth.signing_key, auth.signing_key_file, auth.issuers) == (None, None, ())


@pytest.mark.parametrize("name", ["docs", "metrics"])
def test_exposure_is_open_token_or_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("open", "token", "off"):
        monkeypatch.setenv(f"POTOO_{name.upper()}", value)
        assert getattr(load_settings(), name) == value
    monkeypatch.setenv(f"POTOO_{name.upper()}", "public")
    assert refused().startswith(f"{name}: ")


@pytest.mark.parametrize(
    "origin",
    ["https://app.example", "http://localhost:3000", "https://127.0.0.1:8443", "https://a-b.c"],
)
def test_exact_origin_is_accepted(origin: str) -> None:
    assert load_settings(cors_origins=[origin]).cors_origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://*.example",
        "app.example",
        "null",
        "https://app.example/",
        "https://app.example/path",
        "https://user@app.example",
        "ftp://app.example",
        "https://",
        "https://app.example\n",
        "https://app.example:port",
        "",
    ],
)
def test_inexact_origin_is_refused(origin: str) -> None:
    assert "cors_origins.0: " in refused(cors_origins=[origin])


def test_origins_are_read_as_json_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTOO_CORS_ORIGINS", '["https://app.example"]')
    assert load_settings().cors_origins == ("https://app.example",)
    monkeypatch.setenv("POTOO_CORS_ORIGINS", "https://app.example")
    assert "cors_origins" in refused()


@pytest.mark.parametrize("rate", ["10/second", "600/minute; 50000/day", "1 per 5 minutes", ""])
def test_valid_rate_is_accepted(rate: str) -> None:
    auth = load_settings(auth={"rate_per_principal": rate, "rate_per_address": rate}).auth
    assert (auth.rate_per_principal, auth.rate_per_address) == (rate, rate)


@pytest.mark.parametrize("name", ["rate_per_principal", "rate_per_address"])
@pytest.mark.parametrize(
    "rate", ["fast", "10", "/minute", "10/fortnight", "-1/minute", "10/minute;x"]
)
def test_invalid_rate_is_refused(name: str, rate: str) -> None:
    message = refused(auth={name: rate})
    assert message.startswith(f"auth.{name}: ")
    assert "600/minute; 50000/day" in message


def test_signing_key_and_file_are_mutually_exclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTOO_AUTH__SIGNING_KEY", pem(PRIVATE))
    given = load_settings().auth.signing_key
    assert given is not None
    assert given.get_secret_value() == pem(PRIVATE)
    monkeypatch.setenv("POTOO_AUTH__SIGNING_KEY_FILE", "/run/secrets/potoo.pem")
    message = refused()
    assert "give signing_key or signing_key_file, not both" in message
    assert "PRIVATE" not in message


def test_issuers_are_read_from_tables_of_the_file(toml: Path) -> None:
    toml.write_text(TABLES)
    corp, firebase = load_settings(toml).auth.issuers
    assert (corp.name, corp.audience, corp.jwks_url) == ("corp", ("potoo", "account"), None)
    assert (corp.scope_claim, corp.token_types) == ("realm_access.roles", ("JWT",))
    assert corp.required_claims == {"typ": "Bearer"}
    assert corp.default_scopes == (Scope.MODELS_READ,)
    assert corp.scopes == {
        "guest": (Scope.CLASSIFY,),
        "operator": (Scope.CLASSIFY, Scope.MODELS_WRITE),
    }
    assert corp.algorithms == ("ES256", "RS256")
    assert (firebase.jwks_url, firebase.algorithms) == ("https://keys.example/jwk", ("RS256",))
    assert (firebase.refresh_seconds, firebase.scopes) == (60, {})


def test_issuers_are_read_as_json_from_the_environment(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text(TABLES)
    monkeypatch.setenv("POTOO_AUTH__ISSUERS", json.dumps([ISSUER]))
    auth = load_settings(toml).auth
    assert [issuer.name for issuer in auth.issuers] == ["corp"], "instead of the file's"
    assert auth.issuer == "https://potoo.example", "which is in the file still"


@pytest.mark.parametrize("text", ["corp", "{", "[1]", '{"name": "corp"}', "[[]]"])
def test_malformed_issuers_json_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTOO_AUTH__ISSUERS", text)
    assert "auth" in refused()


@pytest.mark.parametrize(
    "url", ["https://login.example", "http://localhost:8080", "http://127.0.0.1/x", "http://[::1]"]
)
def test_https_or_local_issuer_is_accepted(url: str) -> None:
    for name in ("issuer", "jwks_url"):
        (issuer,) = load_settings(auth={"issuers": [{**ISSUER, name: url}]}).auth.issuers
        assert getattr(issuer, name) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example",
        "http://10.0.0.1",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://localhost@login.example",
        "https://user:word@login.example",
        "file:///etc/passwd",
        "login.example",
        "https://",
        "https:/login.example",
        "",
        "https://login.example/" + "x" * 255,
    ],
)
def test_remote_http_or_malformed_issuer_is_refused(url: str) -> None:
    for name in ("issuer", "jwks_url"):
        assert f"auth.issuers.0.{name}: " in refused(auth={"issuers": [{**ISSUER, name: url}]})


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"name": "Corp"}, "name"),
        ({"name": "a|b"}, "name"),
        ({"name": ""}, "name"),
        ({"audience": []}, "audience"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms.0"),
        ({"algorithms": ["HS256"]}, "algorithms.0"),
        ({"token_types": []}, "token_types"),
        ({"scopes": {"role": ["root"]}}, "scopes.role.0"),
        ({"default_scopes": ["root"]}, "default_scopes.0"),
        ({"refresh_seconds": 0}, "refresh_seconds"),
        ({"secret": "x"}, "secret"),
    ],
    ids=str,
)
def test_invalid_issuer_is_refused_naming_its_position(
    changes: dict[str, object], name: str
) -> None:
    assert f"auth.issuers.0.{name}: " in refused(auth={"issuers": [{**ISSUER, **changes}]})


@pytest.mark.parametrize("changes", [{"name": "other"}, {"issuer": "https://other.example"}])
def test_duplicate_issuer_name_or_url_is_refused(changes: dict[str, object]) -> None:
    message = refused(auth={"issuers": [ISSUER, {**ISSUER, **changes}]})
    assert "two issuers have the same name or URL" in message


def test_issuer_with_the_servers_own_url_is_refused() -> None:
    auth = {"issuer": ISSUER["issuer"], "issuers": [ISSUER]}
    assert "two issuers have the same name or URL" in refused(auth=auth)


def test_identity_secrets_are_masked_and_settings_can_be_pickled(toml: Path) -> None:
    toml.write_text(TABLES)
    settings = load_settings(
        toml,
        database_url=f"postgresql://potoo:{SECRET}@db.example/potoo",
        auth={"signing_key": SECRET, "rate_store": f"redis://:{SECRET}@redis.example/0"},
    )
    shown = [str(value) for _, _, value, _ in describe_settings(settings)]
    for text in (repr(settings), settings.model_dump_json(), *shown):
        assert SECRET not in text
    assert len(settings.auth.issuers) == 2
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own


# The public URL


def test_public_url_is_the_issuer_unless_another_one_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POTOO_PUBLIC_URL", "https://potoo.example")
    assert load_settings().auth.issuer == "https://potoo.example"
    monkeypatch.setenv("POTOO_AUTH__ISSUER", "potoo")
    assert load_settings().auth.issuer == "potoo"


@pytest.mark.parametrize("url", ["potoo.example", "https://potoo.example/", "ftp://potoo.example"])
def test_public_url_that_is_no_origin_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTOO_PUBLIC_URL", url)
    with pytest.raises(SettingsError, match="public_url: "):
        load_settings()


def test_public_url_of_a_trusted_issuer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTOO_PUBLIC_URL", str(ISSUER["issuer"]))
    monkeypatch.setenv("POTOO_AUTH__ISSUERS", json.dumps([ISSUER]))
    with pytest.raises(SettingsError, match="public_url: "):
        load_settings()
