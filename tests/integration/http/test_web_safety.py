"""CORS, security headers, and access to the documentation and metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.transport.http.middleware.cross_origin import EXPOSED_HEADERS, READ_HEADERS
from tests.support.auth.forge import members
from tests.support.callers.accounts import add_person, bearer
from tests.support.callers.answers import assert_tells_nothing, refusal
from tests.support.callers.raw_http import exchange
from tests.support.models.pictures import plain
from tests.support.servers.server import PASSWORD, LiveServer, serve

APP, DEV = "https://app.example", "http://localhost:5173"
ORIGIN, ASKED_HEADERS = "access-control-allow-origin", "access-control-request-headers"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server that allows calls from pages of two other origins."""
    origins = json.dumps([APP, DEV])
    folder = tmp_path_factory.mktemp("shared")
    with serve(folder, models=colours, POTOO_CORS_ORIGINS=origins) as live:
        yield live


def preflight(server: LiveServer, origin: str, method: str = "POST", **more: str) -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": method} | more
    return httpx.options(f"{server.url}/v1/classify", headers=headers)


def cors(answer: httpx.Response) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


# Other origins


def test_other_origins_are_refused_by_default(server: LiveServer) -> None:
    for origin in (APP, "null", server.url, "http://localhost"):
        answer = preflight(server, origin)
        assert cors(answer) == set()
        assert refusal(answer) == (403, "cross_origin_refused")
        assert "cors_origins" in answer.json()["detail"]
        for path in ("/v1/models", "/healthz", "/", "/.well-known/jwks.json", "/nope"):
            answer = httpx.get(f"{server.url}{path}", headers={"origin": origin})
            assert cors(answer) == set()


@pytest.mark.parametrize("origin", [APP, DEV])
def test_configured_origin_is_allowed(shared: LiveServer, origin: str) -> None:
    asked = {"access-control-request-headers": "authorization,content-type,x-request-id"}
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        answer = preflight(shared, origin, method, **asked)
        assert (answer.status_code, answer.headers[ORIGIN]) == (200, origin)
        assert method in answer.headers["access-control-allow-methods"]
        assert "Origin" in answer.headers["vary"].split(", ")
        # Tokens are sent in a header, not in cookies.
        assert "access-control-allow-credentials" not in answer.headers
    headers = {"origin": origin, "content-type": "image/png"} | bearer(shared.token())
    answer = httpx.post(f"{shared.url}/v1/classify", content=plain(), headers=headers)
    assert (answer.status_code, answer.headers[ORIGIN]) == (200, origin)
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert set(exposed.split(", ")) == {
        *("x-request-id", "server-timing", "retry-after"),
        *("inference-header-content-length", "potoo-model"),
        *("ratelimit", "ratelimit-policy", "www-authenticate"),
    }


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://app.example", "https://app.example:8443", "https://app.example.evil", "https://sub.app.example", "https://APP.example", "https://app.example/", "null", "*", "", "https://app.example, https://evil.example", "file://"],
)  # fmt: skip
def test_origin_is_matched_exactly(shared: LiveServer, origin: str) -> None:
    answer = preflight(shared, origin)
    assert refusal(answer) == (403, "cross_origin_refused")
    assert "cors_origins" in answer.json()["detail"]
    assert ORIGIN not in answer.headers
    answer = httpx.get(f"{shared.url}/healthz", headers={"origin": origin})
    assert answer.status_code == 200  # the browser hides it from the page
    assert ORIGIN not in answer.headers


def test_preflight_for_other_headers_or_methods_is_refused(shared: LiveServer) -> None:
    refused = [
        preflight(shared, APP, **{ASKED_HEADERS: "x-anything"}),
        preflight(shared, APP, **{ASKED_HEADERS: "authorization, cookie"}),
        preflight(shared, APP, "TRACE"),
    ]
    for answer in refused:
        assert refusal(answer) == (403, "cross_origin_refused")
        assert "'cors_origins' may" in answer.json()["detail"]
        assert answer.headers[ORIGIN] == APP


@pytest.mark.parametrize("name", READ_HEADERS)
def test_every_header_that_is_read_may_be_asked_for(shared: LiveServer, name: str) -> None:
    answer = preflight(shared, APP, **{ASKED_HEADERS: f"authorization,{name.lower()}"})
    assert (answer.status_code, answer.headers[ORIGIN]) == (200, APP)
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert name.lower() in allowed


def test_lines_of_asked_headers_are_one_list(shared: LiveServer) -> None:
    asks = ["authorization, content-type,", "traceparent,tracestate"]
    for last, status in (("x-request-id", 200), ("x-anything", 403)):
        lines = [(ASKED_HEADERS, line) for line in (*asks, last)]
        headers = [("origin", APP), ("access-control-request-method", "POST"), *lines]
        answer = httpx.options(f"{shared.url}/v2/models/colours/infer", headers=headers)
        assert answer.status_code == status


def test_options_without_a_preflight_is_no_method(shared: LiveServer, server: LiveServer) -> None:
    for one in (shared, server):
        answer = httpx.options(f"{one.url}/v1/classify", headers={"origin": APP})
        assert refusal(answer) == (405, "method_not_allowed")


def test_documented_headers_are_those_allowed() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    section = text.partition("## Web pages of other origins")[2].partition("## Errors")[0]
    sent, read = section.partition("may send these\nheaders:")[2].split("They can read", 1)
    assert set(re.findall(r"`([\w-]+)`", sent)) == set(READ_HEADERS)
    assert set(re.findall(r"`([\w-]+)`", read.partition(" of responses")[0])) == set(
        EXPOSED_HEADERS
    )


def test_refusals_are_readable_by_the_configured_origin(shared: LiveServer) -> None:
    url, headers = shared.url, {"origin": APP}
    signed_in = headers | bearer(shared.token("classify"))
    form = {"grant_type": "password", "username": "admin", "password": "wrong"}
    answers = [
        httpx.get(f"{url}/v1/models", headers=headers),
        httpx.get(f"{url}/v1/models", headers=signed_in),
        httpx.post(f"{url}/v1/classify", content=b"text", headers=signed_in),
        httpx.post(f"{url}/v1/classify?top_k=x", headers=signed_in),
        httpx.post(f"{url}/v1/auth/token", data=form, headers=headers),
        httpx.get(f"{url}/nope", headers=headers),
        httpx.put(f"{url}/v1/models", headers=headers),
        httpx.post(f"{url}/v1/auth/token", content=b"a" * 20_000, headers=headers),
    ]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [401, 403, 415, 422, 400, 404, 405, 400]
    assert {answer.headers.get(ORIGIN) for answer in answers} == {APP}
    assert all("x-request-id" in answer.headers for answer in answers)


def test_configured_origin_can_sign_in_and_out(shared: LiveServer) -> None:
    person, headers = add_person(shared), {"origin": APP}
    issued = httpx.post(f"{shared.url}/v1/auth/token", data=person.form(), headers=headers)
    assert issued.headers[ORIGIN] == APP
    form = {"token": issued.json()["refresh_token"]}
    ended = httpx.post(f"{shared.url}/v1/auth/revoke", data=form, headers=headers)
    assert (ended.status_code, ended.headers[ORIGIN]) == (200, APP)


# Security headers


KINDS = {
    "JSON": "GET /healthz",
    "the page": "GET /",
    "a file": "GET /static/app.js",
    "docs": "GET /docs",
    "the document": "GET /openapi.json",
    "metrics": "GET /metrics",
    "keys": "GET /.well-known/jwks.json",
    "metadata": "GET /.well-known/oauth-authorization-server",
    "no token": "GET /v1/models",
    "no route": "GET /nope",
    "another method": "DELETE /healthz",
    "an OAuth error": "POST /v1/auth/token",
    "an admin route": "GET /v1/admin/users",
    "a hidden body": "HEAD /healthz",
    "options": "OPTIONS /v1/classify",
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_answer_carries_the_security_headers(server: LiveServer, kind: str) -> None:
    method, path = kind.split()
    answer = httpx.request(method, server.url + path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not {"server", "x-powered-by", "set-cookie"} & set(answer.headers)


@pytest.mark.parametrize("path", ["/", "/docs", "/static/app.js"])
def test_content_security_policy_allows_only_own_scripts(server: LiveServer, path: str) -> None:
    policy = httpx.get(server.url + path).headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert (rules["default-src"], rules["script-src"]) == ("'none'", "'self'")
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"


# Access to documentation and metrics


@pytest.mark.parametrize("setting", ["open", "token", "off"])
def test_docs_and_metrics_follow_their_exposure_setting(
    tmp_path: Path, colours: Path, setting: str
) -> None:
    with serve(tmp_path, models=colours, POTOO_DOCS=setting, POTOO_METRICS=setting) as server:
        strangers = {
            path: httpx.get(server.url + path) for path in ("/docs", "/openapi.json", "/metrics")
        }
        signed_in = {
            scope: httpx.get(f"{server.url}/metrics", headers=bearer(server.token(scope)))
            for scope in ("metrics", "admin")
        }
        document = httpx.get(f"{server.url}/openapi.json", headers=bearer(server.token("infer")))
        assert httpx.get(f"{server.url}/").status_code == 200
        assert httpx.get(f"{server.url}/readyz").status_code == 200
    statuses = {path: answer.status_code for path, answer in strangers.items()}
    if setting == "open":
        assert set(statuses.values()) == {200}
        assert "security" not in document.json()["paths"]["/metrics"]["get"]
    elif setting == "token":
        # The page requests the document with the token that the user entered.
        assert statuses == {"/docs": 200, "/openapi.json": 401, "/metrics": 401}
        assert refusal(strangers["/metrics"]) == (401, "unauthenticated")
        assert signed_in["metrics"].status_code == 200
        assert "potoo_audit_events_total" in signed_in["metrics"].text
        assert refusal(signed_in["admin"]) == (403, "insufficient_scope")
        assert document.status_code == 200
        assert document.json()["paths"]["/metrics"]["get"]["security"] == [{"OAuth2": ["metrics"]}]
    else:
        assert set(statuses.values()) == {404}
        assert [answer.status_code for answer in signed_in.values()] == [404, 404]
        assert document.status_code == 404
    for answer in strangers.values():
        if answer.status_code >= 400:
            assert_tells_nothing(answer)


# Well-known files


def test_metadata_endpoints_exist(server: LiveServer) -> None:
    answer = httpx.get(f"{server.url}/.well-known/oauth-authorization-server")
    found = answer.json()
    assert found["issuer"] == server.url
    keys = httpx.get(found["jwks_uri"])
    assert keys.json()["keys"]
    assert keys.headers["cache-control"].startswith("public, max-age=")
    form = {"grant_type": "password", "username": "admin", "password": PASSWORD}
    issued = httpx.post(found["token_endpoint"], data=form).json()
    assert set(issued["scope"].split()) == set(found["scopes_supported"])
    assert set(found["grant_types_supported"]) == {
        *("password", "client_credentials", "refresh_token")
    }
    assert httpx.post(found["introspection_endpoint"]).status_code == 400
    token = {"token": issued["refresh_token"]}
    assert httpx.post(found["revocation_endpoint"], data=token).status_code == 200
    assert httpx.get(found["service_documentation"]).status_code == 200


def test_metadata_use_the_configured_issuer(tmp_path: Path, colours: Path) -> None:
    issuer = "https://potoo.example/id"
    with serve(tmp_path, models=colours, POTOO_AUTH__ISSUER=issuer) as server:
        found = httpx.get(f"{server.url}/.well-known/oauth-authorization-server").json()
        _, claims = members(server.token())
    assert found["issuer"] == issuer
    assert found["token_endpoint"] == f"{issuer}/v1/auth/token"
    assert claims["iss"] == issuer


def test_public_url_is_issuer_and_base_of_the_metadata(tmp_path: Path, colours: Path) -> None:
    public = "https://potoo.example"
    with serve(tmp_path, models=colours, POTOO_PUBLIC_URL=public) as server:
        found = httpx.get(f"{server.url}/.well-known/oauth-authorization-server").json()
    assert found["issuer"] == public
    assert found["token_endpoint"] == f"{public}/v1/auth/token"
    assert found["service_documentation"] == f"{public}/docs"


def test_headers_do_not_influence_the_metadata(server: LiveServer) -> None:
    path = "/.well-known/oauth-authorization-server"
    lines = ["Host: evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"]
    head = "\r\n".join([f"GET {path} HTTP/1.1", *lines, "Connection: close", "", ""])
    (answer,) = exchange(server.address, head.encode())
    assert answer.status == 200
    assert b"evil" not in answer.body
