"""Password hashes: argon2id with OWASP's parameters (19 MiB, 2 passes, 1 lane)."""

from __future__ import annotations

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 1024

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_password(password: str) -> str:
    """Return the encoded hash to store. Takes tens of milliseconds of CPU."""
    return _hasher.hash(password)


def verify_password(encoded: str, password: str) -> bool:
    """Return whether ``password`` matches the stored hash. Takes as long as hashing."""
    try:
        return _hasher.verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False


def is_text(text: str) -> bool:
    """Return whether the text can be encoded as UTF-8 (no lone surrogates)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def make_password() -> str:
    """Generate a random 120-bit password, easy to select in a terminal."""
    return secrets.token_urlsafe(15)


def make_secret() -> str:
    """Generate a random 256-bit client secret, recognisable to secret scanners."""
    return "pcs_" + secrets.token_urlsafe(32)


# Hash of an unknown password. Unknown names are checked against it, so that they take as long as
# a wrong password.
NOBODY = (
    "$argon2id$v=19$m=19456,t=2,p=1$dkxZuH8WBDq5ZEAN/Dxpqg"
    "$ZOiSOxUqi7TtLZ4/tG3RsvgXilaEOirAEImlce+X8fA"
)
