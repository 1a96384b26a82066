"""Sign-in and the content of tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote_plus

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.support.callers.accounts import (
    TOKEN_URL,
    Device,
    add_device,
    add_person,
    basic,
    bearer,
    holds,
    oauth_error,
    refreshed,
)
from tests.support.callers.answers import PROBLEM_TYPE, assert_tells_nothing, refusal
from tests.support.servers.server import PASSWORD, LiveServer

URL = TOKEN_URL
FORM = {"content-type": "application/x-www-form-urlencoded"}
SIGN_IN = {"grant_type": "password", "username": "admin", "password": PASSWORD}


@pytest.fixture
def stranger(server: LiveServer) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


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


@pytest.fixture(scope="module")
def device(server: LiveServer) -> Device:
    return add_device(server)


@pytest.mark.parametrize(
    ("more", "headers"),
    [
        ({}, {}),
        ({}, {"authorization": "Basic Og=="}),
        ({"client_id": "", "client_secret": "", "scope": ""}, {"authorization": "Basic Og=="}),
        ({"client_id": "an app", "anything": "else"}, {}),
    ],
    ids=["bare", "an empty Basic header", "like Swagger UI", "more fields"],
)
def test_person_can_sign_in(
    server: LiveServer, stranger: httpx.Client, more: dict[str, str], headers: dict[str, str]
) -> None:
    answer = stranger.post(URL, data=SIGN_IN | more, headers=headers)
    body = answer.json()
    assert (answer.status_code, body["token_type"]) == (200, "Bearer")
    assert {"admin", "classify", "models:read"} < set(body["scope"].split())
    assert answer.headers["cache-control"] == "no-store"
    assert set(body) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert holds(server, body["access_token"])


@pytest.mark.parametrize("place", ["form", "Basic", "Basic and its name in the form"])
def test_client_signs_in_without_a_refresh_token(
    stranger: httpx.Client, device: Device, place: str
) -> None:
    form, headers = device.form(), basic(device.name, device.secret)
    if place == "form":
        headers = {}
    else:
        del form["client_secret"]
    if place == "Basic":
        del form["client_id"]
    answer = stranger.post(URL, data=form, headers=headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert body["scope"] == "classify models:read"
    token = bearer(body["access_token"])
    assert stranger.get("/v1/models", headers=token).status_code == 200


def test_grant_types_are_limited_to_their_account_kind(server: LiveServer, device: Device) -> None:
    person = add_person(server)
    as_device = {"grant_type": "client_credentials", "client_id": person.name}
    answer = httpx.post(server.url + URL, data=as_device | {"client_secret": person.password})
    assert oauth_error(answer) == (401, "invalid_client")
    as_person = {"grant_type": "password", "username": device.name, "password": device.secret}
    assert oauth_error(httpx.post(server.url + URL, data=as_person)) == (400, "invalid_grant")


def test_credentials_in_two_places_are_refused(stranger: httpx.Client, device: Device) -> None:
    header = basic(device.name, device.secret)
    answer = stranger.post(URL, data=device.form(), headers=header)
    assert oauth_error(answer) == (400, "invalid_request")
    other = {"grant_type": "client_credentials", "client_id": "another"}
    assert oauth_error(stranger.post(URL, data=other, headers=header))[0] == 400
    twice = [("authorization", header["authorization"])] * 2
    form = {"grant_type": "client_credentials"}
    assert oauth_error(stranger.post(URL, data=form, headers=twice)) == (400, "invalid_request")


@pytest.mark.parametrize("scope", ["classify", "models:read classify", " classify  classify "])
def test_token_grants_exactly_the_requested_scopes(stranger: httpx.Client, scope: str) -> None:
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
    "no secret": (b"grant_type=client_credentials&client_id=admin", (401, "invalid_client")),
    "no client": (b"grant_type=client_credentials", (401, "invalid_client")),
    "a name twice": (b"grant_type=password&username=a&username=a&password=x", (400, "invalid_request")),
    "a grant twice": (b"grant_type=password&grant_type=password&username=a&password=x", (400, "invalid_request")),
    "a wrong password": (b"grant_type=password&username=admin&password=wrong", (400, "invalid_grant")),
    "an unknown name": (b"grant_type=password&username=nobody&password=wrong", (400, "invalid_grant")),
    "a name with NUL": (b"grant_type=password&username=admin%00&password=wrong", (400, "invalid_grant")),
    "a name in SQL": (b"grant_type=password&username=admin'--&password=wrong", (400, "invalid_grant")),
    "a name that is not UTF-8": (b"grant_type=password&username=%FF%ED%A0%80&password=%FF", (400, "invalid_grant")),
    "a name of 10 kB": (b"grant_type=password&username=" + b"a" * 10_000 + b"&password=x", (400, "invalid_grant")),
    "a password of 10 kB": (b"grant_type=password&username=admin&password=" + b"a" * 10_000, (400, "invalid_grant")),
    "a scope that is not UTF-8": (b"grant_type=password&username=admin&password=x&scope=%ED%A0%80", (400, "invalid_scope")),
    "a client with NUL": (b"grant_type=client_credentials&client_id=a%00b&client_secret=x", (400, "invalid_request")),
    "a client of 10 kB": (b"grant_type=client_credentials&client_id=" + b"a" * 10_000 + b"&client_secret=x", (400, "invalid_request")),
    "an app with NUL": (b"grant_type=password&username=admin&password=x&client_id=%00", (400, "invalid_request")),
    "an app that is not UTF-8": (b"grant_type=password&username=admin&password=x&client_id=%ED%A0%80", (400, "invalid_grant")),
    "no refresh token": (b"grant_type=refresh_token", (400, "invalid_request")),
    "bytes that are not UTF-8": (b"grant_type=password&username=\xff&password=x", (400, "invalid_request")),
    "too many fields": (b"&".join(b"f%d=" % number for number in range(40)), (400, "invalid_request")),
    "a wrong secret": (b"grant_type=client_credentials&client_id=admin&client_secret=wrong", (401, "invalid_client")),
    "an unknown device": (b"grant_type=client_credentials&client_id=nobody&client_secret=wrong", (401, "invalid_client")),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), REFUSED.values(), ids=REFUSED)
def test_invalid_token_request_gets_an_oauth_error(
    stranger: httpx.Client, body: bytes, expected: tuple[int, str]
) -> None:
    assert oauth_error(stranger.post(URL, content=body, headers=FORM)) == expected


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer a.b.c"}, basic("", "")])
@pytest.mark.parametrize("path", [URL, "/v1/auth/introspect"])
@pytest.mark.parametrize("secret", [{}, {"client_id": "camera"}, {"client_secret": "pcs_x"}])
def test_missing_client_authentication_is_challenged(
    stranger: httpx.Client, path: str, header: dict[str, str], secret: dict[str, str]
) -> None:
    form = {"grant_type": "client_credentials", "token": "a"}
    answer = stranger.post(path, data=form | secret, headers=FORM | header)
    assert oauth_error(answer) == (401, "invalid_client")
    assert answer.headers["www-authenticate"] == 'Basic realm="potoo"'


@pytest.mark.parametrize("scope", ["everything", "classify nope", "CLASSIFY", "classify\0", "*"])
def test_unknown_scope_is_refused(stranger: httpx.Client, scope: str) -> None:
    answer = stranger.post(URL, data=SIGN_IN | {"scope": scope})
    assert oauth_error(answer) == (400, "invalid_scope")


@pytest.mark.parametrize("grant", ["password", "client_credentials"])
def test_unknown_name_and_wrong_password_get_the_same_answer(
    server: LiveServer, stranger: httpx.Client, grant: str
) -> None:
    known = add_person(server).name if grant == "password" else add_device(server).name

    def answer(name: str) -> tuple[int, bytes]:
        keys = ("username", "password") if grant == "password" else ("client_id", "client_secret")
        got = stranger.post(URL, data={"grant_type": grant, keys[0]: name, keys[1]: "wrong"})
        return got.status_code, got.content

    assert answer(known) == answer("nobody")


@pytest.mark.parametrize(
    "value", [b"Basic !", b"Basic YWRtaW4", b"Basic \xe9", b"Basic /w==", b"Basic YQ== YQ=="]
)
def test_a_malformed_basic_header_is_refused(stranger: httpx.Client, value: bytes) -> None:
    form = {"grant_type": "client_credentials"}
    answer = stranger.post(URL, data=form, headers={b"authorization": value})
    assert oauth_error(answer) == (400, "invalid_request")


@pytest.mark.parametrize("value", [b"Basic", b"Bearer a.b.c"])
def test_header_without_basic_credentials_identifies_no_client(
    stranger: httpx.Client, value: bytes
) -> None:
    form = {"grant_type": "client_credentials"}
    answer = stranger.post(URL, data=form, headers={b"authorization": value})
    assert oauth_error(answer) == (401, "invalid_client")


def test_a_token_request_in_json_is_refused(stranger: httpx.Client) -> None:
    answer = stranger.post(URL, json=SIGN_IN)
    assert answer.status_code in {400, 415, 422}
    assert_tells_nothing(answer)


@pytest.mark.parametrize("chunked", [False, True])
def test_oversized_form_is_refused(stranger: httpx.Client, *, chunked: bool) -> None:
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
def test_malformed_form_is_refused(stranger: httpx.Client, content_type: str, body: bytes) -> None:
    answer = stranger.post(URL, content=body, headers={"content-type": content_type})
    assert answer.status_code in {400, 413, 422}
    assert answer.headers["content-type"] in {"application/json", PROBLEM_TYPE}
    assert_tells_nothing(answer)


# Content of the token


def test_published_key_verifies_a_token(server: LiveServer) -> None:
    key, token = public_key(server), server.token()
    verify(key, token)
    header, claims, signature = token.split(".")
    with pytest.raises(InvalidSignature):
        verify(key, f"{header}.{claims}A.{signature}")


def test_published_keys_have_no_private_members(stranger: httpx.Client) -> None:
    answer = stranger.get("/.well-known/jwks.json")
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert_tells_nothing(answer)


def test_token_has_the_rfc_9068_claims(server: LiveServer) -> None:
    header, claims, _ = server.token().split(".")
    assert json.loads(decoded(header))["typ"] == "at+jwt"
    needed = {"iss", "exp", "aud", "sub", "client_id", "iat", "nbf", "jti", "scope", "sid"}
    said = json.loads(decoded(claims))
    assert set(said) == needed
    assert said["exp"] - said["iat"] == 900


def test_every_token_is_different(stranger: httpx.Client) -> None:
    tokens = {stranger.post(URL, data=SIGN_IN).json()["access_token"] for _ in range(3)}
    assert len(tokens) == 3


def test_log_holds_no_passwords_or_tokens(server: LiveServer, stranger: httpx.Client) -> None:
    secret = "correct horse battery staple"
    stranger.post(URL, data=SIGN_IN | {"password": secret})
    stranger.post(
        URL,
        data={"grant_type": "client_credentials", "client_id": "admin", "client_secret": secret},
    )
    stranger.post(URL, data={"grant_type": "client_credentials"}, headers=basic("admin", secret))
    stranger.get("/v1/models", params={"access_token": secret, "token": server.token()})
    issued = stranger.post(URL, data=SIGN_IN).json()
    refreshed(server, issued["refresh_token"])
    refreshed(server, issued["refresh_token"])
    device = add_device(server)
    stranger.post(URL, data=device.form())
    log = server.events()
    spellings = (
        secret,
        quote_plus(secret),
        PASSWORD,
        server.token(),
        issued["access_token"],
        issued["refresh_token"],
        device.secret,
        basic("admin", secret)["authorization"],
    )
    assert not [spelling for spelling in spellings if spelling in log]
