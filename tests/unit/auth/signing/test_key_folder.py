"""The folder of private keys: permissions, adding and removing keys."""

from __future__ import annotations

import os
import re
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from auth.keys import ACTIVATION_SECONDS, Algorithm, SigningKey, UnsafeKey
from auth.principal import Scope
from auth.settings import AuthSettings
from auth.signing.key_folder import KeyFolder
from tests.support.auth.forge import (
    KEY,
    NOW,
    PRIVATE,
    RSA_KEY,
    RSA_PRIVATE,
    SECRET,
    SECRET_KEY,
    Clock,
    pem,
    signer,
    verifier,
)


def key_folder(path: Path, clock: Clock | None = None, **settings: object) -> KeyFolder:
    return KeyFolder(path, AuthSettings.model_validate(settings), clock=clock or Clock())


def issued(key: SigningKey, clock: Clock) -> str:
    """A token of anna's, signed with the key."""
    return signer(key, clock=clock).issue("anna", frozenset({Scope.CLASSIFY}), 600)


def put(
    folder: Path, content: str | bytes, mode: int = 0o600, name: str = f"{KEY.kid}.pem"
) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(mode)
    return file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def unsafe(folder: KeyFolder, message: str) -> None:
    with pytest.raises(UnsafeKey, match=re.escape(message)):
        folder.load()


@pytest.mark.parametrize(
    ("algorithm", "suffix"), [("ES256", ".pem"), ("RS256", ".pem"), ("HS256", ".secret")]
)
def test_first_start_creates_a_key_readable_by_its_owner_only(
    tmp_path: Path, algorithm: Algorithm, suffix: str
) -> None:
    folder = tmp_path / "data" / "keys"
    keys = key_folder(folder, algorithm=algorithm).load()
    (file,) = folder.iterdir()
    assert file.name == f"{keys.signing.kid}{suffix}"
    assert (mode(file), mode(folder)) == (0o600, 0o700)
    assert (keys.signing.algorithm, keys.signing.made) == (algorithm, NOW)


def test_new_key_is_private_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key_folder(tmp_path / "keys").add()
    finally:
        os.umask(before)
    (file,) = (tmp_path / "keys").iterdir()
    assert mode(file) == 0o600


def test_second_start_loads_the_same_key(tmp_path: Path) -> None:
    first, second = key_folder(tmp_path).load(), key_folder(tmp_path, Clock(NOW + 60)).load()
    assert first.signing == second.signing
    assert list(second.by_kid) == [first.signing.kid]


def test_reading_creates_no_key(tmp_path: Path) -> None:
    assert key_folder(tmp_path / "keys").read() == []
    assert not (tmp_path / "keys").exists()


def test_added_key_signs_after_the_activation_delay(tmp_path: Path) -> None:
    clock = Clock()
    folder = key_folder(tmp_path, clock)
    first = folder.load().signing
    clock.now += 1000
    second = folder.add()
    assert folder.load().signing == first
    assert set(folder.load().by_kid) == {first.kid, second.kid}
    clock.now += ACTIVATION_SECONDS
    assert folder.load().signing == second


def test_keys_of_earlier_algorithms_still_verify(tmp_path: Path) -> None:
    clock, algorithms = Clock(), ("ES256", "RS256", "HS256")
    put(tmp_path, pem(RSA_PRIVATE), name=f"{RSA_KEY.kid}.pem")
    added = [key_folder(tmp_path, clock, algorithm=name).add() for name in ("ES256", "HS256")]
    keys = [RSA_KEY, *added]
    clock.now += ACTIVATION_SECONDS
    for name in algorithms:
        found = key_folder(tmp_path, clock, algorithm=name).load()
        assert {key.kid: key.algorithm for key in found.by_kid.values()} == {
            key.kid: key.algorithm for key in keys
        }
        check = verifier(*found.by_kid.values(), clock=clock)
        for key in keys:
            assert check.verify(issued(key, clock)).name == "anna"


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
def test_removed_key_is_not_loaded_again(tmp_path: Path, algorithm: str) -> None:
    folder = key_folder(tmp_path, algorithm=algorithm)
    first, second = folder.add(), folder.add()
    folder.remove(first)
    assert [key.kid for key in folder.read()] == [second.kid]
    with pytest.raises(FileNotFoundError):
        folder.remove(first)


def test_concurrent_reader_sees_only_complete_keys(tmp_path: Path) -> None:
    """Concurrent readers find only valid keys while keys are added."""
    folder, done = key_folder(tmp_path, algorithm="HS256"), threading.Event()

    def looks() -> list[int]:
        seen = []
        while not done.is_set():
            seen.append(len(folder.read()))
        return seen

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(looks)
        for _ in range(100):
            folder.add()
        done.set()
    assert set(looking.result()) <= set(range(101))
    assert len(folder.read()) == 100
    assert {mode(file) for file in tmp_path.iterdir()} == {0o600}
    assert all(file.suffix == ".secret" for file in tmp_path.iterdir())


def test_partial_file_of_a_killed_process_is_ignored(tmp_path: Path) -> None:
    put(tmp_path, pem(PRIVATE)[:50], name=f".{KEY.kid}.pem.4242.part")
    assert len(key_folder(tmp_path).load().by_kid) == 1


@pytest.mark.parametrize("permissions", [0o640, 0o604, 0o644, 0o660, 0o610, 0o601, 0o666, 0o777])
def test_key_file_accessible_to_others_is_refused(tmp_path: Path, permissions: int) -> None:
    file = put(tmp_path, pem(PRIVATE), permissions)
    unsafe(key_folder(tmp_path), f"{file} may be read by others: chmod 600 it")


@pytest.mark.parametrize("permissions", [0o600, 0o400, 0o700])
def test_key_file_private_to_its_owner_is_accepted(tmp_path: Path, permissions: int) -> None:
    put(tmp_path, pem(PRIVATE), permissions)
    assert list(key_folder(tmp_path).load().by_kid) == [KEY.kid]


@pytest.mark.parametrize(
    "content",
    [pem(RSA_PRIVATE), pem(PRIVATE) + pem(RSA_PRIVATE), SECRET],
    ids=["another", "two", "secret"],
)
def test_key_file_not_matching_its_name_is_refused(tmp_path: Path, content: str) -> None:
    file = put(tmp_path, content)
    unsafe(key_folder(tmp_path), f"{file} does not hold the key of that name")


@pytest.mark.parametrize(
    "content",
    [b"", b"no key", b"\xff\0 no key", pem(PRIVATE)[:100].encode()],
    ids=["empty", "text", "bytes", "half"],
)
def test_damaged_key_file_is_refused_and_named(tmp_path: Path, content: bytes) -> None:
    file = put(tmp_path, content)
    unsafe(key_folder(tmp_path), f"{file} holds no")


def test_one_unsafe_key_file_among_valid_ones_is_refused(tmp_path: Path) -> None:
    folder = key_folder(tmp_path)
    folder.add()
    put(tmp_path, pem(PRIVATE), 0o644)
    unsafe(folder, f"{KEY.kid}.pem may be read by others")


def test_unrelated_files_are_ignored(tmp_path: Path) -> None:
    put(tmp_path, "not a key", 0o644, "README")
    put(tmp_path, "not a key either", 0o644, "key.pem.bak")
    assert len(key_folder(tmp_path).load().by_kid) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_configured_keys_replace_the_key_folder(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    for text, first in ((pem(RSA_PRIVATE) + pem(PRIVATE), RSA_KEY), (SECRET, SECRET_KEY)):
        given = key_folder(folder, signing_key=SecretStr(text))
        assert given.is_given
        assert given.load().signing.kid == first.kid
    assert not folder.exists(), "the folder is not used"


def test_configured_key_file_may_have_any_permissions(tmp_path: Path) -> None:
    file = put(tmp_path, pem(PRIVATE) + pem(RSA_PRIVATE), 0o644, "secret")
    given = key_folder(tmp_path / "keys", signing_key_file=file)
    keys = given.load()
    assert given.is_given
    assert (keys.signing.kid, set(keys.by_kid)) == (KEY.kid, {KEY.kid, RSA_KEY.kid})
    put(tmp_path, pem(RSA_PRIVATE), 0o644, "secret")
    assert list(given.load().by_kid) == [RSA_KEY.kid], "it is read anew"


def test_configured_keys_cannot_be_added_or_removed(tmp_path: Path) -> None:
    put(tmp_path, pem(PRIVATE))
    given = key_folder(tmp_path, signing_key=SecretStr(pem(PRIVATE)))
    with pytest.raises(UnsafeKey, match="change them there"):
        given.add()
    with pytest.raises(UnsafeKey, match="change them there"):
        given.remove(KEY)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("text", ["no key", pem(PRIVATE)[:100], "\n"], ids=["word", "cut", "blank"])
def test_invalid_configured_key_is_refused_and_not_replaced(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "keys"
    unsafe(key_folder(folder, signing_key=SecretStr(text)), "auth.signing_key holds no")
    file = put(tmp_path, text, name="secret")
    unsafe(key_folder(folder, signing_key_file=file), f"{file} holds no")
    assert not folder.exists()


def test_missing_configured_key_file_is_named_with_its_setting(tmp_path: Path) -> None:
    given = key_folder(tmp_path / "keys", signing_key_file=tmp_path / "missing")
    with pytest.raises(UnsafeKey, match=r"auth\.signing_key_file: cannot read .*missing"):
        given.load()
