"""Whatever somebody may send instead of a token is refused, in one way only."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth.tokens import MAX_TOKEN_CHARS
from schemas.errors import Unauthenticated
from tests.unit.auth.forge import (
    CLAIMS,
    HEADER,
    KEY,
    NOW,
    PRIVATE,
    SETTINGS,
    STRANGER,
    b64,
    codec,
    dumped,
    hmac_token,
    public_der,
    signature,
    token,
    without,
)

SKEW = SETTINGS.clock_skew_seconds
GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
CODEC = codec()


def raw(text: str) -> bytes:
    """Claims as JSON text, with ``text`` in place of the expiry."""
    return json.dumps(without(CLAIMS, "exp"))[:-1].encode() + f', "exp": {text}}}'.encode()


def uncanonical(segment: str) -> str:
    """Another spelling of the same bytes: the unused bits of the last character are set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = segment[:-1] + alphabet[alphabet.index(segment[-1]) ^ 1]
    pad = "=" * (-len(segment) % 4)
    assert base64.urlsafe_b64decode(other + pad) == base64.urlsafe_b64decode(segment + pad)
    return other


def twice(members: dict[str, object], name: str) -> bytes:
    return json.dumps(members)[:-1].encode() + f', "{name}": {json.dumps(members[name])}}}'.encode()


HEADERS: dict[str, object] = {
    **{f"alg {alg}": {**HEADER, "alg": alg} for alg in ("none", "None", "NONE", "nOnE", "", "HS256", "ES384", "RS256", "es256", "EdDSA", "ES256 ")},
    "alg missing": without(HEADER, "alg"),
    "alg list": {**HEADER, "alg": ["ES256"]},
    "alg null": {**HEADER, "alg": None},
    **{f"typ {typ}": {**HEADER, "typ": typ} for typ in ("JWT", "jwt", "", "at+jwt ", "application/at+jwt", "id+jwt", "at+JWT2")},
    "typ missing": without(HEADER, "typ"),
    "typ number": {**HEADER, "typ": 1},
    **{f"kid {kid[:20]!r}": {**HEADER, "kid": kid} for kid in ("", "unknown", "../../etc/passwd", "/dev/null", "' OR 1=1 --", "\0", KEY.kid + "\0", KEY.kid.lower(), "k" * 3000)},
    "kid missing": without(HEADER, "kid"),
    "kid array": {**HEADER, "kid": [KEY.kid]},
    "kid object": {**HEADER, "kid": {"$ne": ""}},
    "kid null": {**HEADER, "kid": None},
    "jku": {**HEADER, "jku": "https://attacker.example/jwks.json"},
    "x5u": {**HEADER, "x5u": "https://attacker.example/cert.pem"},
    "x5c": {**HEADER, "x5c": ["MIIB"]},
    "jwk": {**HEADER, "jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
    "crit": {**HEADER, "crit": ["exp"]},
    "b64": {**HEADER, "b64": False, "crit": ["b64"]},
    "zip": {**HEADER, "zip": "DEF"},
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
    **{f"{name} {value!r}": {**CLAIMS, name: value} for name in ("iat", "exp", "nbf") for value in (str(NOW + 60), NOW + 60.0, True, [NOW + 60], -1)},
    **{f"exp {text[:12]}": raw(text) for text in ("NaN", "Infinity", "-Infinity", "1e400", "1e10", "18000000000.0", "9" * 400, "true", '"1900000000"', "0x7fffffff", "1_900_000_000")},
    "exp too far": {**CLAIMS, "exp": 2**53 + 1},
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
    "not JSON": b"claims",
    "two documents": dumped(CLAIMS) + dumped(CLAIMS),
    "not UTF-8": b'{"sub": "\xff"}',
    "deep": b'{"x":' + b"[" * 2000,
    "deep and closed": dumped(CLAIMS)[:-1] + b', "x": ' + b"[" * 1100 + b"]" * 1100 + b"}",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_a_signed_token_with_unfit_claims_is_refused(name: str) -> None:
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
    "another key": token(private=STRANGER),
    "swapped signature": f"{HEAD}.{BODY}.{token(claims={**CLAIMS, 'jti': 'two'}).split('.')[2]}",
    "swapped claims": f"{HEAD}.{b64(dumped({**CLAIMS, 'sub': 'root'}))}.{SIGNATURE}",
    "swapped header": f"{b64(dumped({**HEADER, 'further': 1}))}.{BODY}.{SIGNATURE}",
    "zero signature": f"{HEAD}.{BODY}.{b64(bytes(64))}",
    "short signature": f"{HEAD}.{BODY}.{b64(signature(f'{HEAD}.{BODY}')[:63])}",
    "long signature": f"{HEAD}.{BODY}.{b64(signature(f'{HEAD}.{BODY}') + bytes(1))}",
    "DER signature": f"{HEAD}.{BODY}.{b64(bytes([0x30, 6, 2, 1, 1, 2, 1, 1]))}",
    "HS256 with our PEM": hmac_token(KEY.public_pem.encode()),
    "HS256 with our stripped PEM": hmac_token(KEY.public_pem.strip().encode()),
    "HS256 with our DER": hmac_token(public_der()),
    "HS256 with nothing": hmac_token(b""),
    "ES256 with an HMAC": hmac_token(KEY.public_pem.encode(), alg="ES256"),
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


def test_another_spelling_of_the_same_segment_is_refused() -> None:
    """Even where it was signed like that: it would be a second name of one token in the cache."""
    for padding in range(3):
        body = b64(dumped({**CLAIMS, "x": "x" * padding}))
        if len(body) % 4:
            signed = f"{HEAD}.{uncanonical(body)}"
            refused(f"{signed}.{b64(signature(signed, PRIVATE))}")


def test_a_refusal_tells_no_more_than_an_honest_caller_needs() -> None:
    details = set()
    for text in (*FORGED.values(), *(token(claims=claims) for claims in BAD_CLAIMS.values())):
        with pytest.raises(Unauthenticated) as caught:
            CODEC.verify(text)
        details.add(caught.value.detail)
    assert details == {
        "The access token is not valid.",
        "The access token has expired.",
        "The access token is not valid yet.",
        "The access token was not made for this server.",
    }


@settings(deadline=None, max_examples=300, derandomize=True, database=None)
@given(st.integers(0, len(GOOD) - 1), st.characters(max_codepoint=0x2FF))
def test_one_changed_character_spoils_a_token(place: int, character: str) -> None:
    changed = GOOD[:place] + character + GOOD[place + 1 :]
    if changed != GOOD:
        refused(changed)


@settings(deadline=None, max_examples=300, derandomize=True, database=None)
@given(st.text(max_size=200))
def test_no_text_is_a_token(text: str) -> None:
    refused(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@settings(deadline=None, max_examples=300, derandomize=True, database=None)
@given(st.sampled_from([name for name in CLAIMS if name != "scope"]), json_values)
def test_no_claim_may_be_just_anything(name: str, value: object) -> None:
    if name == "aud":  # a list may hold ours
        value = {"potoo": value}
    if isinstance(value, str) or (type(value) is int and value > 0):
        value = [value]
    refused(token(claims={**CLAIMS, name: value}))


def refused(text: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        CODEC.verify(text)
    assert type(caught.value) is Unauthenticated
    assert caught.value.__suppress_context__
