"""Fetching the keys of trusted issuers, from a real issuer where possible."""

from __future__ import annotations

import base64
import gzip
import json

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from auth.issuers import (
    MAX_DOCUMENT_BYTES,
    MAX_KEYS,
    UNKNOWN_KEY_SECONDS,
    TrustedIssuers,
)
from tests.support.auth.issuer_bench import bench, kid_of, looked, trust
from tests.support.servers.issuer import DISCOVERY, KEYS, Issuer, published_key

pytestmark = pytest.mark.anyio


# Fetched documents


async def test_keys_are_found_by_discovery(issuer: Issuer) -> None:
    rsa_kid = issuer.rotate("RS256")
    (ec_kid,) = (key["kid"] for key in issuer.published() if key["kty"] == "EC")
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        keys = running.issuers
        found = [keys.key(issuer.url, kid) for kid in (ec_kid, rsa_kid)]
        assert [key and key.algorithm for key in found] == ["ES256", "RS256"]
        assert keys.key(issuer.url, "another") is None
        assert keys.faults() == {}
        assert running.looks == [("theirs", False), ("theirs", True)]


async def test_configured_key_url_skips_discovery(issuer: Issuer) -> None:
    asked = issuer.requests(DISCOVERY)
    settings = trust("https://issuer.example", jwks_url=issuer.url + KEYS)
    async with bench(settings) as running:
        await looked(running)
        assert running.issuers.key("https://issuer.example", kid_of(issuer))
    assert issuer.requests(DISCOVERY) == asked


async def test_issuer_url_with_trailing_slash_gives_correct_discovery_url() -> None:
    asked = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(404)

    settings = trust("https://tenant.example/", name="auth0")
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await TrustedIssuers((settings,), client=client).look_again(settings.issuer)
    assert asked == ["https://tenant.example/.well-known/openid-configuration"]


SMALL = rsa.generate_private_key(65_537, 1024)  # noqa: S505 - too small: that is refused
ODD: dict[str, dict[str, object]] = {
    "for encryption": {"use": "enc"},
    "of another algorithm": {"alg": "ES384"},
    "of another kind": {"alg": "RS256"},
    "of another curve": {"crv": "P-384"},
    "a secret": {"kty": "oct", "k": "c2VjcmV0"},
    "without an id": {"kid": None},
    "with an empty id": {"kid": ""},
    "with a long id": {"kid": "k" * 256},
    "with a number for an id": {"kid": 7},
    "a point off the curve": {"x": "AA", "y": "AA"},
    "not base64": {"x": "?"},
    "without coordinates": {"x": None},
}


@pytest.mark.parametrize("odd", ODD)
async def test_unusable_key_is_skipped(issuer: Issuer, odd: str) -> None:
    (good,) = issuer.published()
    further = {**good, "kid": "odd", **ODD[odd]}
    issuer.answer(KEYS, json.dumps({"keys": [further, good, "no key", None, [], {}]}))
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        assert running.issuers.faults() == {}
        assert running.issuers.key(issuer.url, good["kid"])
        assert running.issuers.key(issuer.url, "odd") is None
        assert running.issuers.key(issuer.url, str(further["kid"])) is None


async def test_small_rsa_keys_are_skipped_in_any_encoding(issuer: Issuer) -> None:
    number = SMALL.public_key().public_numbers().n
    padded = base64.urlsafe_b64encode(number.to_bytes(256)).rstrip(b"=").decode()
    small = published_key(SMALL, "small")
    issuer.answer(KEYS, json.dumps({"keys": [small, {**small, "kid": "padded", "n": padded}]}))
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        assert running.issuers.key(issuer.url, "small") is None
        assert running.issuers.key(issuer.url, "padded") is None
        assert running.issuers.faults() == {"theirs": "it publishes no key that we can use"}
        assert running.looks[-1] == ("theirs", False)


async def test_private_key_members_are_ignored(issuer: Issuer) -> None:
    (good,) = issuer.published()
    issuer.answer(KEYS, json.dumps({"keys": [{**good, "d": "AAAA", "x5c": ["MII"], "n": "AA"}]}))
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        key = running.issuers.key(issuer.url, good["kid"])
        assert key is not None
        assert key.key.to_dict().keys() == {"alg", "kty", "crv", "x", "y"}


# Failures

ELSEWHERE = "http://192.0.2.1/keys"
WRONG: dict[str, tuple[str, bytes, int, dict[str, str], str]] = {
    "an error": (KEYS, b"{}", 500, {}, "it answered 500"),
    "not found": (DISCOVERY, b"{}", 404, {}, "it answered 404"),
    "an empty response": (DISCOVERY, b"", 200, {}, "not what it should be"),
    "a page": (DISCOVERY, b"<html>", 200, {}, "not what it should be"),
    "bytes": (KEYS, b"\xff\x00\xfe", 200, {}, "not what it should be"),
    "a list": (DISCOVERY, b"[]", 200, {}, "not what it should be"),
    "null": (KEYS, b"null", 200, {}, "not what it should be"),
    "no list of keys": (KEYS, b'{"keys": {}}', 200, {}, "not what it should be"),
    "too many keys": (KEYS, json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode(), 200, {}, "not what it should be"),
    "deep": (KEYS, b"[" * 100_000, 200, {}, "nested too deeply"),
    "a long number": (KEYS, b"9" * 10_000, 200, {}, "Exceeds the limit"),
    "long": (KEYS, b" " * (MAX_DOCUMENT_BYTES + 1), 200, {}, "too long"),
    "a bomb": (KEYS, gzip.compress(b" " * 2**24), 200, {"content-encoding": "gzip"}, "not what it should be"),
    "a redirect": (KEYS, b"", 302, {"location": "/elsewhere"}, "it answered 302"),
    "a redirect of the discovery": (DISCOVERY, b"", 301, {"location": KEYS}, "it answered 301"),
    "another issuer": (DISCOVERY, b'{"issuer": "https://evil.example", "jwks_uri": "https://evil.example/keys"}', 200, {}, "another issuer's"),
    "keys by http elsewhere": (DISCOVERY, json.dumps({"issuer": "ISSUER", "jwks_uri": ELSEWHERE}).encode(), 200, {}, "not what it should be"),
    "keys in a file": (DISCOVERY, b'{"issuer": "ISSUER", "jwks_uri": "file:///etc/passwd"}', 200, {}, "not what it should be"),
    "keys behind a password": (DISCOVERY, b'{"issuer": "ISSUER", "jwks_uri": "https://a:b@c.example"}', 200, {}, "not what it should be"),
    "no key set URL": (DISCOVERY, b'{"issuer": "ISSUER"}', 200, {}, "not what it should be"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
async def test_invalid_answer_is_a_fault_and_keeps_known_keys(issuer: Issuer, wrong: str) -> None:
    path, body, status, headers, fault = WRONG[wrong]
    issuer.answer("/elsewhere", json.dumps({"keys": issuer.published()}))
    elsewhere = issuer.requests("/elsewhere")
    async with bench(trust(issuer.url)) as running:
        await looked(running)
        issuer.answer(path, body.replace(b"ISSUER", issuer.url.encode()), status, headers)
        running.later(UNKNOWN_KEY_SECONDS)
        await running.issuers.look_again(issuer.url)
        assert fault in running.issuers.faults()["theirs"]
        assert running.looks[1:] == [("theirs", True), ("theirs", False)]
        assert running.issuers.key(issuer.url, kid_of(issuer))
        issuer.behave()
        running.later(UNKNOWN_KEY_SECONDS)
        await running.issuers.look_again(issuer.url)
        assert running.issuers.faults() == {}
        assert not running.changes
    assert issuer.requests("/elsewhere") == elsewhere


@pytest.mark.parametrize(
    ("how", "fault"), [("hang", "TimeoutError"), ("drip", "TimeoutError"), ("endless", "too long")]
)
async def test_endless_answer_is_aborted(issuer: Issuer, how: str, fault: str) -> None:
    issuer.misbehave(KEYS, how)
    async with bench(trust(issuer.url), timeout=0.3 if how != "endless" else 5) as running:
        await looked(running)
        assert fault in running.issuers.faults()["theirs"]


async def test_discovery_from_https_to_http_is_refused() -> None:
    asked = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        found = {"issuer": "https://issuer.example", "jwks_uri": "http://127.0.0.1:9/keys"}
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(found).encode()))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        issuers = TrustedIssuers((trust("https://issuer.example"),), client=client)
        await issuers.look_again("https://issuer.example")
    assert asked == ["issuer.example"]
    assert "from https to http" in issuers.faults()["theirs"]


async def test_unexpected_exception_is_reported_as_a_fault() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise RuntimeError("x" * 5000)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        issuers = TrustedIssuers((trust("https://issuer.example"),), client=client)
        await issuers.look_again("https://issuer.example")
    assert issuers.faults() == {"theirs": "x" * 200}


@pytest.mark.parametrize(
    "url", ["http://issuer.example", "ftp://issuer.example", "issuer.example", "https://", "https://a:b@issuer.example", "http://10.0.0.1", "http://[::1", "//issuer.example", ""],
)  # fmt: skip
def test_issuer_url_must_be_https(url: str) -> None:
    with pytest.raises(ValueError, match=r"https|at least 1"):
        trust(url)
