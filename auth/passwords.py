"""Password hashes: argon2id with OWASP's parameters (19 MiB, 2 passes, 1 lane)."""

from __future__ import annotations

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 1024

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_password(password: str) -> str:
    """The encoded hash to store. Takes tens of milliseconds of CPU."""
    return _hasher.hash(password)


def verify_password(encoded: str, password: str) -> bool:
    """Whether ``password`` belongs to the stored hash. Takes as long as hashing."""
    try:
        return _hasher.verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8, which a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def make_password() -> str:
    """A random password of 120 bits, easy to select in a terminal."""
    return secrets.token_urlsafe(15)


def make_secret() -> str:
    """A random secret of 256 bits for a client, recognisable to secret scanners."""
    return "pcs_" + secrets.token_urlsafe(32)


# The hash of a password that nobody knows: what an unknown name is checked against, so that it
# takes as long as a wrong password.
NOBODY = (
    "$argon2id$v=19$m=19456,t=2,p=1$dkxZuH8WBDq5ZEAN/Dxpqg"
    "$ZOiSOxUqi7TtLZ4/tG3RsvgXilaEOirAEImlce+X8fA"
)
