"""Signing keys: accepted formats, choice of the signing key, published keys."""

from __future__ import annotations

import base64
import hashlib
import json
from itertools import permutations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from auth.keys import (
    ACTIVATION_SECONDS,
    Algorithm,
    KeySet,
    SigningKey,
    UnsafeKey,
    make_private,
    read_keys,
)
from tests.support.auth.forge import (
    KEY,
    PRIVATE,
    RSA_KEY,
    RSA_PRIVATE,
    SECRET,
    SECRET_KEY,
    STRANGER,
    as_key,
    b64,
    pem,
)

NOW = 1_800_000_000.0
ALGORITHMS: tuple[Algorithm, ...] = ("ES256", "RS256", "HS256")


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def made_before(seconds: float) -> SigningKey:
    return as_key(p256(), NOW - seconds)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_generated_keys_are_readable_and_unique(algorithm: Algorithm) -> None:
    texts = [make_private(algorithm) for _ in range(2)]
    first, second = (read_keys(text, "a test", NOW)[0] for text in texts)
    assert (first.algorithm, first.made) == (algorithm, NOW)
    assert first.private == texts[0]
    assert first.kid != second.kid
    assert first == read_keys(texts[0], "a test", NOW)[0]


def test_generated_keys_have_the_required_size() -> None:
    key = serialization.load_pem_private_key(make_private("RS256").encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 3072
    assert len(base64.b64decode(make_private("HS256"))) == 64


def test_key_id_is_the_truncated_rfc_7638_thumbprint() -> None:
    """RFC 7638, computed by hand."""
    point, numbers = PRIVATE.public_key().public_numbers(), RSA_PRIVATE.public_key()
    x, y = (b64(number.to_bytes(32)) for number in (point.x, point.y))
    n = b64(numbers.public_numbers().n.to_bytes(256))
    for key, canonical in (
        (KEY, f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'),
        (RSA_KEY, f'{{"e":"AQAB","kty":"RSA","n":"{n}"}}'),
        (SECRET_KEY, f'{{"k":"{b64(SECRET.encode())}","kty":"oct"}}'),
    ):
        assert key.kid == hashlib.sha256(canonical.encode()).hexdigest()[:32]


def test_short_coordinates_are_published_with_leading_zeros() -> None:
    key = ec.derive_private_key(144, ec.SECP256R1())
    for scalar in range(1, 2000):  # one in 128 keys has a coordinate below 2**248
        key = ec.derive_private_key(scalar, ec.SECP256R1())
        numbers = key.public_key().public_numbers()
        if min(numbers.x, numbers.y) < 2**248:
            break
    published = as_key(key).jwk
    assert published is not None
    members = published.model_dump()
    assert {len(members["x"]), len(members["y"])} == {43}


def test_published_keys_hold_only_public_parameters() -> None:
    keys = KeySet([KEY, RSA_KEY, SECRET_KEY])
    published = json.loads(keys.public().model_dump_json())["keys"]
    by_kid = {key["kid"]: key for key in published}
    assert set(by_kid) == {KEY.kid, RSA_KEY.kid}
    of_ec, of_rsa = by_kid[KEY.kid], by_kid[RSA_KEY.kid]
    assert set(of_ec) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert (of_ec["kty"], of_ec["crv"], of_ec["alg"], of_ec["use"]) == (
        "EC",
        "P-256",
        "ES256",
        "sig",
    )
    assert set(of_rsa) == {"kty", "n", "e", "kid", "alg", "use"}
    assert (of_rsa["kty"], of_rsa["alg"], of_rsa["use"]) == ("RSA", "RS256", "sig")


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_both_openssl_pem_formats_are_read(
    form: serialization.PrivateFormat, line_end: str
) -> None:
    for private, expected in ((PRIVATE, KEY), (RSA_PRIVATE, RSA_KEY)):
        text = pem(private, form=form).replace("\n", line_end)
        assert [key.kid for key in read_keys(text, "a test")] == [expected.kid]


def test_ec_parameters_before_a_key_are_ignored() -> None:
    """``openssl ecparam -name prime256v1 -genkey`` writes them."""
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    (key,) = read_keys(parameters + pem(PRIVATE), "a test")
    assert key.kid == KEY.kid
    with pytest.raises(UnsafeKey, match="a test holds no private key"):
        read_keys(parameters, "a test")


def test_first_of_several_pem_blocks_signs() -> None:
    three = {as_key(key).kid: pem(key) for key in (PRIVATE, STRANGER)} | {
        RSA_KEY.kid: RSA_KEY.private
    }
    for order in permutations(three):
        kids = list(order)
        keys = read_keys("\n# comment\n".join(three[kid] for kid in kids), "a test")
        assert [key.kid for key in keys] == kids
        found = KeySet(keys, NOW)
        assert found.signing.kid == kids[0]
        assert set(found.by_kid) == set(kids)


def test_whitespace_around_a_secret_is_ignored() -> None:
    assert read_keys(f"  {SECRET}\n", "a test") == [SECRET_KEY]


UNFIT = {
    "weak RSA": pem(rsa.generate_private_key(65_537, 1024)),  # noqa: S505 - on purpose
    "P-384": pem(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": pem(ec.generate_private_key(ec.SECP256K1())),
    "Ed25519": pem(ed25519.Ed25519PrivateKey.generate()),
    "public": KEY.public,
    "certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "cut": pem(PRIVATE)[:100],
    "begun": "-----BEGIN ",
    "damaged": pem(PRIVATE).replace("M", "N"),
    "encrypted": pem(PRIVATE, serialization.BestAvailableEncryption(b"secret")),
    "second one weak": pem(PRIVATE) + pem(ec.generate_private_key(ec.SECP384R1())),
    "second one cut": pem(PRIVATE) + pem(STRANGER)[:100],
    "key with its public half": pem(PRIVATE) + KEY.public,
}


@pytest.mark.parametrize("name", UNFIT)
def test_unsupported_key_is_refused(name: str) -> None:
    with pytest.raises(UnsafeKey, match=r"^a test holds no P-256 and no RSA private key in PEM$"):
        read_keys(UNFIT[name], "a test")


@pytest.mark.parametrize(
    "text",
    ["", "\n", "no key", "=" * 64, "\ud800", base64.b64encode(bytes(31)).decode(), "{}", "a" * 43],
)
def test_text_that_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UnsafeKey, match="no private key in PEM, nor 32 bytes in base64") as caught:
        read_keys(text, "a test")
    assert text.strip() == "" or text not in str(caught.value), "it may be a secret mistyped"


def test_newest_active_key_signs_and_all_are_kept() -> None:
    keys = [made_before(seconds) for seconds in (300, 100, 200)]
    found = KeySet(keys, NOW)
    assert found.signing == keys[1]
    assert set(found.by_kid) == {key.kid for key in keys}


def test_new_key_is_published_at_once_and_signs_after_activation() -> None:
    old, new = made_before(1000), made_before(0)
    just_before = KeySet([old, new], NOW + ACTIVATION_SECONDS - 0.01)
    assert just_before.signing == old
    assert {key.kid for key in just_before.public().keys} == {old.kid, new.kid}
    assert KeySet([old, new], NOW + ACTIVATION_SECONDS).signing == new


def test_oldest_of_several_new_keys_signs() -> None:
    """Servers that start together on one empty folder agree."""
    keys = [made_before(seconds) for seconds in (3, 5, 1)]
    assert {KeySet(list(order), NOW).signing.kid for order in permutations(keys)} == {keys[1].kid}


def test_clock_set_back_leaves_a_signing_key() -> None:
    old, new = made_before(1000), made_before(0)
    assert KeySet([old, new], NOW - 10_000).signing == old
    assert KeySet([new], NOW - 10_000).signing == new


def test_a_key_given_twice_counts_once() -> None:
    keys = KeySet(read_keys(pem(PRIVATE) * 2, "a test"), NOW)
    assert list(keys.by_kid) == [KEY.kid]
    assert len(keys.public().keys) == 1


def test_parsed_key_is_cached() -> None:
    """The folder is polled every few seconds, on the event loop; an RSA key takes 0.1 s."""
    text = pem(RSA_PRIVATE)
    (first,), (second,) = read_keys(text, "a file"), read_keys(text, "a file")
    assert first is second
