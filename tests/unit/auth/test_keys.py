"""Signing keys: who may read them, which are taken, what is published of them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from auth.keys import KeySet, SigningKey, UnsafeKey, load_keys
from auth.principal import ALL_SCOPES
from auth.settings import AuthSettings
from auth.tokens import TokenCodec


def pem(
    key: PrivateKeyTypes,
    encryption: serialization.KeySerializationEncryption | None = None,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, form, encryption or serialization.NoEncryption()
    )


def put(folder: Path, name: str, content: bytes, mode: int = 0o600, modified: int = 0) -> Path:
    file = folder / name
    file.write_bytes(content)
    file.chmod(mode)
    if modified:
        os.utime(file, (modified, modified))
    return file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def test_the_first_start_makes_a_key_that_only_its_owner_may_read(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys = load_keys(folder)
    (file,) = folder.iterdir()
    assert (file.name, mode(file), mode(folder)) == (f"{keys.signing.kid}.pem", 0o600, 0o700)


def test_the_next_start_finds_it_again(tmp_path: Path) -> None:
    first, second = load_keys(tmp_path), load_keys(tmp_path)
    assert first.signing == second.signing
    assert list(first.by_kid) == [first.signing.kid]


def test_the_newest_key_signs_and_all_verify(tmp_path: Path) -> None:
    keys = [p256() for _ in range(3)]
    for name, key, age in zip("cab", keys, (300, 100, 200), strict=True):
        put(tmp_path, f"{name}.pem", pem(key), modified=1_700_000_000 - age)
    found = load_keys(tmp_path)
    assert found.signing == SigningKey.from_private(keys[1])
    assert set(found.by_kid) == {SigningKey.from_private(key).kid for key in keys}
    older = TokenCodec(KeySet([SigningKey.from_private(keys[0])]), AuthSettings())
    issued = older.issue("anna", ALL_SCOPES, 60)
    assert TokenCodec(found, AuthSettings()).verify(issued).name == "anna"


def test_the_key_id_is_the_thumbprint_shortened_to_sixteen_bytes() -> None:
    key = p256()
    numbers = key.public_key().public_numbers()
    coordinates = [
        base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()
        for number in (numbers.x, numbers.y)
    ]
    canonical = '{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}'.format(*coordinates)
    thumbprint = hashlib.sha256(canonical.encode()).digest()[:16]
    kid = SigningKey.from_private(key).kid
    assert base64.urlsafe_b64decode(kid + "==") == thumbprint


def test_short_coordinates_keep_their_leading_zeros() -> None:
    key = ec.derive_private_key(144, ec.SECP256R1())
    for scalar in range(1, 2000):  # one in 128 keys has a coordinate below 2**248
        key = ec.derive_private_key(scalar, ec.SECP256R1())
        numbers = key.public_key().public_numbers()
        if min(numbers.x, numbers.y) < 2**248:
            break
    members = SigningKey.from_private(key).jwk.model_dump()
    assert {len(members["x"]), len(members["y"])} == {43}


def test_only_public_halves_are_published(tmp_path: Path) -> None:
    keys = load_keys(tmp_path)
    published = json.loads(keys.public().model_dump_json())
    (key,) = published["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert key["kid"] == keys.signing.kid


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
def test_both_pem_forms_of_openssl_are_read(
    tmp_path: Path, form: serialization.PrivateFormat
) -> None:
    key = p256()
    put(tmp_path, "key.pem", pem(key, form=form))
    assert load_keys(tmp_path).signing.kid == SigningKey.from_private(key).kid


@pytest.mark.parametrize("permissions", [0o640, 0o604, 0o644, 0o660, 0o610, 0o601, 0o666, 0o777])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, permissions: int) -> None:
    file = put(tmp_path, "key.pem", pem(p256()), permissions)
    with pytest.raises(UnsafeKey, match=f"{file} may be read by others: chmod 600 it"):
        load_keys(tmp_path)


@pytest.mark.parametrize("permissions", [0o600, 0o400, 0o700])
def test_a_key_of_its_owner_alone_is_taken(tmp_path: Path, permissions: int) -> None:
    put(tmp_path, "key.pem", pem(p256()), permissions)
    assert len(load_keys(tmp_path).by_kid) == 1


UNFIT = {
    "RSA": pem(rsa.generate_private_key(65_537, 2048)),
    "P-384": pem(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": pem(ec.generate_private_key(ec.SECP256K1())),
    "Ed25519": pem(ed25519.Ed25519PrivateKey.generate()),
    "public": p256()
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    "empty": b"",
    "garbage": b"\xff\0 no key",
    "cut": pem(p256())[:100],
    "encrypted": pem(p256(), serialization.BestAvailableEncryption(b"secret")),
}


@pytest.mark.parametrize("name", UNFIT)
def test_anything_but_a_p256_private_key_is_refused(tmp_path: Path, name: str) -> None:
    file = put(tmp_path, "key.pem", UNFIT[name])
    with pytest.raises(UnsafeKey, match=f"{file} holds no P-256 private key in PEM"):
        load_keys(tmp_path)


def test_one_unfit_key_among_good_ones_is_refused_too(tmp_path: Path) -> None:
    put(tmp_path, "good.pem", pem(p256()), modified=2_000_000_000)
    put(tmp_path, "old.pem", pem(p256()), 0o644, modified=1_000_000_000)
    with pytest.raises(UnsafeKey, match=r"old\.pem"):
        load_keys(tmp_path)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "README", b"not a key", 0o644)
    put(tmp_path, "key.pem.bak", b"not a key either", 0o644)
    assert len(load_keys(tmp_path).by_kid) == 1
    assert len(list(tmp_path.glob("*.pem"))) == 1
