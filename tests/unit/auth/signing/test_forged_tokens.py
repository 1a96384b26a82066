"""All forged tokens are refused with the same error."""

from __future__ import annotations

import json
import zlib

import pytest

from auth.issuer_settings import IssuerSettings
from auth.signing.tokens import MAX_TOKEN_CHARS, verification_key
from auth.store.sessions import is_refresh_token
from schemas.errors import Unauthenticated
from tests.support.auth.forge import (
    CLAIMS,
    HEADER,
    KEY,
    NOW,
    PRIVATE,
    RSA_KEY,
    RSA_PRIVATE,
    SECRET_KEY,
    SETTINGS,
    STRANGER,
    Issuers,
    b64,
    dumped,
    hmac_token,
    public_der,
    rsa_token,
    signature,
    token,
    uncanonical,
    verifier,
    without,
)

SKEW = SETTINGS.clock_skew_seconds
GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
REFRESH = "prt_" + "A" * 64
VERIFIER = verifier(KEY, RSA_KEY, SECRET_KEY)


def raw(text: str) -> bytes:
    """Claims as JSON text, with ``text`` in place of the expiry."""
    return json.dumps(without(CLAIMS, "exp"))[:-1].encode() + f', "exp": {text}}}'.encode()


def zipped(claims: bytes) -> str:
    """Signed with the compression of RFC 7516, which signed tokens may not have."""
    signed = f"{b64(dumped({**HEADER, 'zip': 'DEF'}))}.{b64(claims)}"
    return f"{signed}.{b64(signature(signed))}"


def twice(members: dict[str, object], name: str) -> bytes:
    return json.dumps(members)[:-1].encode() + f', "{name}": {json.dumps(members[name])}}}'.encode()


# Expands a thousandfold: 4 MiB of spaces, which still fit into a token.
BOMB = zlib.compress(b" " * 2**22, 9, wbits=-15)

HEADERS: dict[str, object] = {
    **{f"alg {alg}": {**HEADER, "alg": alg} for alg in ("none", "None", "NONE", "nOnE", "none ", "n\u043ene", "", "HS256", "ES384", "RS256", "PS256", "es256", "EdDSA", "ES256 ", "dir")},
    "alg missing": without(HEADER, "alg"),
    "alg list": {**HEADER, "alg": ["ES256"]},
    "alg null": {**HEADER, "alg": None},
    **{f"typ {typ}": {**HEADER, "typ": typ} for typ in ("JWT", "jwt", "", "at+jwt ", "application/jwt", "id+jwt", "at+JWT2")},
    "typ missing": without(HEADER, "typ"),
    "typ number": {**HEADER, "typ": 1},
    **{f"kid {kid[:20]!r}": {**HEADER, "kid": kid} for kid in ("", "unknown", "../../etc/passwd", "/dev/null", "' OR 1=1 --", "'; DROP TABLE accounts; --", "%2e%2e%2f", "\0", "\ud800", "k" * 3000)},
    "kid and a zero byte": {**HEADER, "kid": KEY.kid + "\0"},
    "kid in capitals": {**HEADER, "kid": KEY.kid.upper()},
    "kid missing": without(HEADER, "kid"),
    "kid array": {**HEADER, "kid": [KEY.kid]},
    "kid object": {**HEADER, "kid": {"$ne": ""}},
    "kid null": {**HEADER, "kid": None},
    "jku": {**HEADER, "jku": "https://attacker.example/jwks.json"},
    "kid of another kind": {**HEADER, "kid": RSA_KEY.kid},
    "kid of a secret": {**HEADER, "kid": SECRET_KEY.kid},
    "x5u": {**HEADER, "x5u": "https://attacker.example/cert.pem"},
    "x5t#S256": {**HEADER, "x5t#S256": "AAAA"},
    "x5c": {**HEADER, "x5c": ["MIIB"]},
    "jwk": {**HEADER, "jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
    "crit": {**HEADER, "crit": ["exp"]},
    "crit empty": {**HEADER, "crit": []},
    "b64": {**HEADER, "b64": False, "crit": ["b64"]},
    "zip": {**HEADER, "zip": "DEF"},
    "enc": {**HEADER, "enc": "A256GCM"},
    "cty": {**HEADER, "cty": "JWT"},
    "repeated alg": twice(HEADER, "alg"),
    "repeated kid": twice(HEADER, "kid"),
    "array": [HEADER],
    "string": "header",
    "null": None,
    "empty object": {},
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe",
    "UTF-16": json.dumps(HEADER).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + dumped(HEADER),
    "deep": b"[" * 1400,
    "NaN": b'{"alg": NaN}',
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_a_signed_token_with_another_header_is_refused(name: str) -> None:
    refused(token(HEADERS[name]))


BAD_CLAIMS: dict[str, object] = {
    **{f"{name} missing": without(CLAIMS, name) for name in CLAIMS if name != "scope"},
    **{f"{name} null": {**CLAIMS, name: None} for name in CLAIMS},
    **{f"{name} object": {**CLAIMS, name: {}} for name in CLAIMS},
    **{f"{name} empty": {**CLAIMS, name: ""} for name in CLAIMS if name != "scope"},
    **{f"{name} number": {**CLAIMS, name: 7} for name in ("iss", "sub", "aud", "client_id", "jti", "scope")},
    **{f"{name} list": {**CLAIMS, name: ["potoo"]} for name in ("iss", "sub", "client_id", "jti", "scope")},
    **{f"{name} {value!r}": {**CLAIMS, name: value} for name in ("iat", "exp", "nbf") for value in (str(NOW + 60), True, [NOW + 60], -1, -0.5)},
    **{f"exp {text[:12]}": raw(text) for text in ("NaN", "Infinity", "-Infinity", "1e400", "1e17", "18000000000000000.0", "9" * 400, "true", '"1900000000"', "0x7fffffff", "1_900_000_000")},
    "exp too far": {**CLAIMS, "exp": 2**53 + 1},
    **{f"{name} with {character!r}": {**CLAIMS, name: f"an{character}na"} for name in ("sub", "jti", "client_id", "sid") for character in "\0\n\x1b\x7f\x85"},
    "sub long": {**CLAIMS, "sub": "s" * 256},
    "jti long": {**CLAIMS, "jti": "j" * 256},
    "iss other": {**CLAIMS, "iss": "someone else"},
    "iss case": {**CLAIMS, "iss": "Potoo"},
    "iss suffix": {**CLAIMS, "iss": "potoo "},
    "aud other": {**CLAIMS, "aud": "other"},
    "aud prefix": {**CLAIMS, "aud": "potoo.example"},
    "aud empty list": {**CLAIMS, "aud": []},
    "aud others": {**CLAIMS, "aud": ["other", "another"]},
    "aud mixed": {**CLAIMS, "aud": ["potoo", 7]},
    "aud nested": {**CLAIMS, "aud": [["potoo"]]},
    "expired": {**CLAIMS, "exp": NOW - SKEW - 1},
    "iat in the future": {**CLAIMS, "iat": NOW + 3600},
    "repeated exp": twice(CLAIMS, "exp"),
    "repeated sub": twice(CLAIMS, "sub"),
    "repeated further claim": dumped(CLAIMS)[:-1] + b', "x": {"y": 1, "y": 2}}',
    "array": [CLAIMS],
    "string": "claims",
    "number": 1,
    "nested token": GOOD.encode(),
    "compressed": zlib.compress(dumped(CLAIMS)),
    "not JSON": b"claims",
    "two documents": dumped(CLAIMS) + dumped(CLAIMS),
    "not UTF-8": b'{"sub": "\xff"}',
    "deep": b'{"x":' + b"[" * 2000,
    "deep and closed": dumped(CLAIMS)[:-1] + b', "x": ' + b"[" * 1100 + b"]" * 1100 + b"}",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_signed_token_with_invalid_claims_is_refused(name: str) -> None:
    refused(token(claims=BAD_CLAIMS[name]))


FORGED: dict[str, str] = {
    "empty": "",
    "dots": "..",
    "words": "not a token",
    "one segment": HEAD,
    "two segments": f"{HEAD}.{BODY}",
    "no signature": f"{HEAD}.{BODY}.",
    "no claims": f"{HEAD}..{SIGNATURE}",
    "no header": f".{BODY}.{SIGNATURE}",
    "four segments": f"{GOOD}.AA",
    "five segments of a JWE": f"{b64(dumped({'alg': 'dir', 'enc': 'A256GCM'}))}..{b64(b'iv')}.{b64(b'text')}.{b64(b'tag')}",
    "JWE bomb": f"{b64(dumped({'alg': 'dir', 'enc': 'A256GCM', 'zip': 'DEF'}))}..{b64(b'iv')}.{b64(BOMB)}.{b64(b'tag')}",
    "zip bomb": zipped(BOMB),
    "zipped claims": zipped(zlib.compress(dumped(CLAIMS), wbits=-15)),
    "another key": token(private=STRANGER),
    "swapped signature": f"{HEAD}.{BODY}.{token(claims={**CLAIMS, 'jti': 'two'}).split('.')[2]}",
    "swapped claims": f"{HEAD}.{b64(dumped({**CLAIMS, 'sub': 'root'}))}.{SIGNATURE}",
    "swapped header": f"{b64(dumped({**HEADER, 'further': 1}))}.{BODY}.{SIGNATURE}",
    "zero signature": f"{HEAD}.{BODY}.{b64(bytes(64))}",
    "short signature": f"{HEAD}.{BODY}.{b64(signature(f'{HEAD}.{BODY}')[:63])}",
    "long signature": f"{HEAD}.{BODY}.{b64(signature(f'{HEAD}.{BODY}') + bytes(1))}",
    "DER signature": f"{HEAD}.{BODY}.{b64(bytes([0x30, 6, 2, 1, 1, 2, 1, 1]))}",
    **{f"HS256 with {kind} of {key.algorithm}": hmac_token(secret, kid=key.kid) for key, private in ((KEY, PRIVATE), (RSA_KEY, RSA_PRIVATE)) for kind, secret in {"PEM": key.public.encode(), "stripped PEM": key.public.strip().encode(), "DER": public_der(private), "JWK": dumped(key.jwk.model_dump() if key.jwk else {})}.items()},
    "HS256 with an empty key": hmac_token(b""),
    "HS256 with an empty key and a secret's id": hmac_token(b"", kid=SECRET_KEY.kid),
    "HS256 with our PEM and a secret's id": hmac_token(KEY.public.encode(), kid=SECRET_KEY.kid),
    "ES256 with an HMAC": hmac_token(KEY.public.encode(), alg="ES256"),
    "RS256 with an HMAC": hmac_token(RSA_KEY.public.encode(), alg="RS256", kid=RSA_KEY.kid),
    **{f"RS256 said to be {alg}": rsa_token(RSA_KEY.kid, alg) for alg in ("none", "RS384", "RS512", "PS256", "HS256", "ES256")},
    "RS256 with the id of an EC key": rsa_token(KEY.kid),
    "ES256 with the id of an RSA key": token({**HEADER, "kid": RSA_KEY.kid, "alg": "RS256"}),
    **{f"unsigned as {alg}": f"{b64(dumped({**HEADER, 'alg': alg}))}.{BODY}." for alg in ("none", "None", "NONE", "nOnE", "ES256")},
    **{f"unsigned as {alg}, with a signature": f"{b64(dumped({**HEADER, 'alg': alg}))}.{BODY}.{SIGNATURE}" for alg in ("none", "None", "NONE", "nOnE")},
    "refresh token": REFRESH,
    "refresh token as claims": f"{HEAD}.{b64(REFRESH.encode())}.{SIGNATURE}",
    "leading space": f" {GOOD}",
    "trailing space": f"{GOOD} ",
    "trailing newline": f"{GOOD}\n",
    "inner newline": f"{HEAD}.\n{BODY}.{SIGNATURE}",
    "zero byte": f"{GOOD}\0",
    "padding": f"{HEAD}==.{BODY}==.{SIGNATURE}==",
    "standard alphabet": f"{HEAD}.{BODY}.{b64(b'?' * 64)}".replace("_", "/").replace("-", "+"),
    "non-canonical signature": f"{HEAD}.{BODY}.{uncanonical(SIGNATURE)}",
    "not ASCII": f"{HEAD}.{BODY}.{SIGNATURE[:-1]}\u00e9",
    "full-width letters": GOOD.replace("e", "\uff45"),
    "lone surrogate": f"{HEAD}.{BODY}.\ud800",
    "too long": f"{HEAD}.{'A' * MAX_TOKEN_CHARS}.{SIGNATURE}",
    "a megabyte": "A" * 2**20,
    "a megabyte of dots": "." * 2**20,
    "a megabyte signed": token(claims={**CLAIMS, "x": "x" * 2**20}),
    "the scheme": f"Bearer {GOOD}",
    "twice": f"{GOOD},{GOOD}",
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused(name: str) -> None:
    refused(FORGED[name])


def test_refresh_token_example_is_well_formed() -> None:
    assert is_refresh_token(REFRESH)


ID_TOKEN: dict[str, object] = {**CLAIMS, "aud": "the app", "nonce": "n", "email": "a@example.org"}


@pytest.mark.parametrize("typ", ["JWT", "id+jwt", "at+jwt"])
def test_id_token_is_refused_as_access_token(typ: str) -> None:
    """ID tokens are for the app that signed the user in (RFC 8725, section 3.12)."""
    refused(token({**HEADER, "typ": typ}, ID_TOKEN))
    refused(token({**HEADER, "typ": typ}, without(without(ID_TOKEN, "jti"), "client_id")))


def test_id_token_of_a_trusted_issuer_is_refused() -> None:
    issuer = "https://login.example"
    trusted = IssuerSettings(name="corp", issuer=issuer, audience=("potoo",))
    keys = {"theirs": verification_key(KEY.public, "ES256")}
    theirs = verifier(RSA_KEY, issuers=Issuers({issuer: (trusted, keys)}))
    header: dict[str, object] = {"alg": "ES256", "kid": "theirs", "typ": "at+jwt"}
    access: dict[str, object] = {**CLAIMS, "iss": issuer}
    assert theirs.verify(token(header, access)).name == "corp|anna"
    for text in (
        token({**header, "typ": "JWT"}, access),
        token(header, {**ID_TOKEN, "iss": issuer}),
        token({**header, "typ": "JWT"}, {**ID_TOKEN, "iss": issuer}),
    ):
        with pytest.raises(Unauthenticated):
            theirs.verify(text)


def test_non_canonical_base64_segment_is_refused() -> None:
    """Even if it was signed so: it would be a second spelling of one token in the cache."""
    for padding in range(3):
        body = b64(dumped({**CLAIMS, "x": "x" * padding}))
        if len(body) % 4:
            signed = f"{HEAD}.{uncanonical(body)}"
            refused(f"{signed}.{b64(signature(signed, PRIVATE))}")


def test_refusal_details_are_limited_to_four_messages() -> None:
    details = set()
    for text in (*FORGED.values(), *(token(claims=claims) for claims in BAD_CLAIMS.values())):
        with pytest.raises(Unauthenticated) as caught:
            VERIFIER.verify(text)
        details.add(caught.value.detail)
    assert details == {
        "The access token is not valid.",
        "The access token has expired.",
        "The access token is not valid yet.",
        "The access token was not made for this server.",
    }


def refused(text: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        VERIFIER.verify(text)
    assert type(caught.value) is Unauthenticated
    assert caught.value.__suppress_context__
