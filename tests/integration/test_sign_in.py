"""Getting a token, and what it is."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote_plus

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.integration.answers import PROBLEM_TYPE, assert_tells_nothing, refusal
from tests.server import PASSWORD, LiveServer, serve

URL = "/v1/auth/token"
FORM = {"content-type": "application/x-www-form-urlencoded"}
SIGN_IN = {"grant_type": "password", "username": "admin", "password": PASSWORD}
DEVICE = {"grant_type": "client_credentials", "client_id": "admin", "client_secret": PASSWORD}


@pytest.fixture
def stranger(server: LiveServer) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def basic(name: str, secret: str) -> dict[str, str]:
    """An HTTP Basic header, form-encoded inside (RFC 6749, section 2.3.1)."""
    text = f"{quote_plus(name)}:{quote_plus(secret)}"
    return {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def oauth_error(answer: httpx.Response) -> tuple[int, str]:
    """Status and error of a refused token request (RFC 6749, section 5.2)."""
    body = answer.json()
    assert set(body) == {"error", "error_description"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.status_code != 401 or "www-authenticate" in answer.headers
    assert_tells_nothing(answer)
    return answer.status_code, body["error"]


def decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def public_key(server: LiveServer) -> ec.EllipticCurvePublicKey:
    (key,) = httpx.get(f"{server.url}/.well-known/jwks.json").json()["keys"]
    x, y = (int.from_bytes(decoded(key[name])) for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def verify(key: ec.EllipticCurvePublicKey, token: str) -> None:
    """Checks an ES256 signature (RFC 7518, section 3.4) without any JWT library."""
    signed, _, signature = token.rpartition(".")
    raw = decoded(signature)
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        (SIGN_IN, {}),
        (DEVICE, {}),
        ({"grant_type": "client_credentials"}, basic("admin", PASSWORD)),
        (SIGN_IN, {"authorization": "Basic Og=="}),
        (SIGN_IN | {"client_id": "", "client_secret": "", "scope": ""}, {}),
        (SIGN_IN | {"client_id": "an app", "anything": "else"}, {}),
    ],
    ids=["password", "secret in the form", "secret in Basic", "as Swagger UI", "blanks", "more"],
)
def test_a_token_is_issued(
    stranger: httpx.Client, form: dict[str, str], headers: dict[str, str]
) -> None:
    answer = stranger.post(URL, data=form, headers=headers)
    body = answer.json()
    assert (answer.status_code, body["token_type"]) == (200, "Bearer")
    assert body["scope"].split() == ["admin", "classify", "models:read"]
    assert answer.headers["cache-control"] == "no-store"
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    bearer = {"authorization": f"Bearer {body['access_token']}"}
    assert stranger.get("/v1/models", headers=bearer).status_code == 200


@pytest.mark.parametrize("scope", ["classify", "models:read classify", " classify  classify "])
def test_a_token_grants_what_was_asked_for_and_no_more(stranger: httpx.Client, scope: str) -> None:
    body = stranger.post(URL, data=SIGN_IN | {"scope": scope}).json()
    assert set(body["scope"].split()) == set(scope.split())
    claims = json.loads(decoded(body["access_token"].split(".")[1]))
    assert claims["scope"] == body["scope"]


REFUSED: dict[str, tuple[bytes, tuple[int, str]]] = {
    "nothing": (b"", (400, "invalid_request")),
    "no grant": (b"username=admin&password=x", (400, "invalid_request")),
    "another grant": (b"grant_type=implicit", (400, "unsupported_grant_type")),
    "a grant in capitals": (b"grant_type=PASSWORD", (400, "unsupported_grant_type")),
    "no name": (b"grant_type=password&password=x", (400, "invalid_request")),
    "no password": (b"grant_type=password&username=admin", (400, "invalid_request")),
    "no secret": (b"grant_type=client_credentials&client_id=admin", (400, "invalid_request")),
    "a name twice": (b"grant_type=password&username=a&username=a&password=x", (400, "invalid_request")),
    "a grant twice": (b"grant_type=password&grant_type=password&username=a&password=x", (400, "invalid_request")),
    "a wrong password": (b"grant_type=password&username=admin&password=wrong", (400, "invalid_grant")),
    "an unknown name": (b"grant_type=password&username=nobody&password=wrong", (400, "invalid_grant")),
    "a name with NUL": (b"grant_type=password&username=admin%00&password=wrong", (400, "invalid_grant")),
    "a name in SQL": (b"grant_type=password&username=admin'--&password=wrong", (400, "invalid_grant")),
    "a name of no UTF-8": (b"grant_type=password&username=%FF%ED%A0%80&password=%FF", (400, "invalid_grant")),
    "a name of 10 kB": (b"grant_type=password&username=" + b"a" * 10_000 + b"&password=x", (400, "invalid_grant")),
    "a password of 10 kB": (b"grant_type=password&username=admin&password=" + b"a" * 10_000, (400, "invalid_grant")),
    "a wrong secret": (b"grant_type=client_credentials&client_id=admin&client_secret=wrong", (401, "invalid_client")),
    "an unknown device": (b"grant_type=client_credentials&client_id=nobody&client_secret=wrong", (401, "invalid_client")),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_token_request_is_refused_in_the_words_of_oauth(
    stranger: httpx.Client, body: bytes, expected: tuple[int, str]
) -> None:
    assert oauth_error(stranger.post(URL, content=body, headers=FORM)) == expected


@pytest.mark.parametrize("scope", ["everything", "classify nope", "CLASSIFY", "classify\0", "*"])
def test_a_scope_that_there_is_not_is_refused(stranger: httpx.Client, scope: str) -> None:
    answer = stranger.post(URL, data=SIGN_IN | {"scope": scope})
    assert oauth_error(answer) == (400, "invalid_scope")


@pytest.mark.parametrize("grant", ["password", "client_credentials"])
def test_an_unknown_name_and_a_wrong_password_get_the_same_answer(
    stranger: httpx.Client, grant: str
) -> None:
    def answer(name: str) -> tuple[int, bytes]:
        keys = ("username", "password") if grant == "password" else ("client_id", "client_secret")
        got = stranger.post(URL, data={"grant_type": grant, keys[0]: name, keys[1]: "wrong"})
        return got.status_code, got.content

    assert answer("admin") == answer("nobody")


@pytest.mark.parametrize(
    "value",
    [b"Basic", b"Basic !", b"Basic YWRtaW4", b"Basic \xe9", b"Basic /w==", b"Basic YQ== YQ==", b"Bearer a.b.c"],
)  # fmt: skip
def test_a_malformed_basic_header_is_refused(stranger: httpx.Client, value: bytes) -> None:
    form = {"grant_type": "client_credentials"}
    answer = stranger.post(URL, data=form, headers={b"authorization": value})
    assert oauth_error(answer)[0] in {400, 401}


def test_a_token_request_in_json_is_refused(stranger: httpx.Client) -> None:
    answer = stranger.post(URL, json=SIGN_IN)
    assert answer.status_code in {400, 415, 422}
    assert_tells_nothing(answer)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_form_is_refused(stranger: httpx.Client, *, chunked: bool) -> None:
    body = b"username=" + b"a" * 20_000
    answer = stranger.post(URL, content=iter([body]) if chunked else body, headers=FORM)
    assert refusal(answer) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=x", b"garbage"),
        ("multipart/form-data", b"garbage"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name="),
        ("application/x-www-form-urlencoded", b"a&" * 8000),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="password"; filename="a"\r\n\r\na\r\n--x--\r\n',
        ),
    ],
)
def test_a_form_that_is_none_is_refused(
    stranger: httpx.Client, content_type: str, body: bytes
) -> None:
    answer = stranger.post(URL, content=body, headers={"content-type": content_type})
    assert answer.status_code in {400, 413, 422}
    assert answer.headers["content-type"] in {"application/json", PROBLEM_TYPE}
    assert_tells_nothing(answer)


# What the token is


def test_the_published_key_verifies_the_token(server: LiveServer) -> None:
    key, token = public_key(server), server.token()
    verify(key, token)
    header, claims, signature = token.split(".")
    with pytest.raises(InvalidSignature):
        verify(key, f"{header}.{claims}A.{signature}")


def test_the_published_keys_have_no_private_parts(stranger: httpx.Client) -> None:
    answer = stranger.get("/.well-known/jwks.json")
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert_tells_nothing(answer)


def test_a_token_says_what_rfc_9068_asks_for(server: LiveServer) -> None:
    header, claims, _ = server.token().split(".")
    assert json.loads(decoded(header))["typ"] == "at+jwt"
    needed = {"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope"}
    assert set(json.loads(decoded(claims))) == needed


def test_no_two_tokens_are_the_same(stranger: httpx.Client) -> None:
    tokens = {stranger.post(URL, data=SIGN_IN).json()["access_token"] for _ in range(3)}
    assert len(tokens) == 3


def test_the_log_holds_neither_passwords_nor_tokens(
    server: LiveServer, stranger: httpx.Client
) -> None:
    secret = "correct horse battery staple"
    stranger.post(URL, data=SIGN_IN | {"password": secret})
    stranger.post(URL, data=DEVICE | {"client_secret": secret})
    stranger.post(URL, data={"grant_type": "client_credentials"}, headers=basic("admin", secret))
    stranger.get("/v1/models", params={"access_token": secret, "token": server.token()})
    log = server.events()
    spellings = (
        secret,
        quote_plus(secret),
        PASSWORD,
        server.token(),
        basic("admin", secret)["authorization"],
    )
    assert not [spelling for spelling in spellings if spelling in log]


# Guessing


def guess(url: str, number: int) -> httpx.Response:
    """One wrong password, from ever another address if a proxy's header is believed."""
    headers = {"x-forwarded-for": f"192.0.2.{number}"}
    return httpx.post(f"{url}{URL}", data=SIGN_IN | {"password": f"{number}"}, headers=headers)


def test_too_many_sign_ins_at_once_are_told_to_come_back(tmp_path: Path, colours: Path) -> None:
    with (
        serve(tmp_path, models=colours, POTOO_AUTH__SIGN_INS_WAITING="1") as server,
        ThreadPoolExecutor(16) as crowd,
    ):
        answers = list(crowd.map(lambda number: guess(server.url, number), range(64)))
        errors = {oauth_error(answer) for answer in answers}
        assert errors == {(400, "invalid_grant"), (429, "temporarily_unavailable")}
        assert all(
            int(answer.headers["retry-after"]) >= 1
            for answer in answers
            if answer.status_code == 429
        )
        assert server.token()
