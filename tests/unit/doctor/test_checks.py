"""Checks of the doctor, each with what it must find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest

from service.backup.keeping import next_file
from service.doctor import machine, outside, parts
from service.doctor.examining import OF_THE_FOLDER, examine, exit_status
from service.doctor.findings import Finding, Level, Scene
from service.settings import Settings, load_settings

NOW = 1_800_000_000.0
DATE = formatdate(NOW, usegmt=True)
OK, WARNING, FAILED, SKIPPED = Level.OK, Level.WARNING, Level.FAILED, Level.SKIPPED
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    return Scene(load_settings(data_dir=data), None, "", None, None, lambda: NOW)


@contextmanager
def seen_from_outside(scene: Scene, answer: Answer, scheme: str = "https") -> Iterator[Scene]:
    address = f"{scheme}://potoo.example"
    with httpx.Client(base_url=address, transport=httpx.MockTransport(answer)) as client:
        yield replace(scene, site=client, prometheus=client, address=address)


def status(code: int, **headers: str) -> Answer:
    return lambda _: httpx.Response(code, headers=headers)


def away(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


def levels(findings: Iterator[Finding]) -> set[Level]:
    found = list(findings)
    for one in found:
        assert one.seen
        assert bool(one.mend) == (one.level in {WARNING, FAILED})
    return {one.level for one in found}


@pytest.mark.parametrize(
    ("check", "answer", "level"),
    [
        (outside.reachable, status(200), OK),
        (outside.reachable, status(503), FAILED),
        (outside.reachable, away, FAILED),
        (outside.closed_paths, status(404), OK),
        (outside.closed_paths, status(401), WARNING),
        (outside.closed_paths, status(200), FAILED),
        (outside.closed_paths, status(308), SKIPPED),
        (outside.closed_paths, away, SKIPPED),
        (outside.strict_transport, status(200, **{"strict-transport-security": "max-age=31536000"}), OK),
        (outside.strict_transport, status(200, **{"strict-transport-security": "max-age=60"}), FAILED),
        (outside.strict_transport, status(200), FAILED),
        (outside.strict_transport, away, SKIPPED),
        (outside.clock, status(200, date=DATE), OK),
        (outside.clock, status(200, date=formatdate(NOW - 3, usegmt=True)), OK),
        (outside.clock, status(200, date=formatdate(NOW - 60, usegmt=True)), FAILED),
        (outside.clock, status(200, date=formatdate(NOW + 60, usegmt=True)), FAILED),
        (outside.clock, status(200, date="yesterday"), SKIPPED),
        (parts.targets, away, FAILED),
        (parts.targets, lambda _: httpx.Response(200, json={}), FAILED),
        (parts.targets, lambda _: httpx.Response(200, json=targets("up", "up")), OK),
        (parts.targets, lambda _: httpx.Response(200, json=targets("up", "down")), FAILED),
        (parts.targets, lambda _: httpx.Response(200, json=targets()), FAILED),
    ],
)  # fmt: skip
def test_answer_from_outside_is_judged(
    scene: Scene, check: Callable[[Scene], Iterator[Finding]], answer: Answer, level: Level
) -> None:
    with seen_from_outside(scene, answer) as site:
        assert levels(check(site)) == {level}


def targets(*healths: str) -> object:
    one = [{"labels": {"instance": f"potoo-{health}"}, "health": health} for health in healths]
    return {"data": {"activeTargets": one}}


@pytest.mark.parametrize(
    "check",
    [
        outside.reachable,
        outside.closed_paths,
        outside.strict_transport,
        outside.transport_security,
        outside.clock,
        parts.targets,
        parts.issuers,
        machine.backups,
    ],
)
def test_checks_without_a_given_place_are_skipped(
    scene: Scene, check: Callable[[Scene], Iterator[Finding]]
) -> None:
    assert levels(check(scene)) == {SKIPPED}


def test_site_without_tls_is_a_warning(scene: Scene) -> None:
    with seen_from_outside(scene, status(200), "http") as site:
        assert levels(outside.transport_security(site)) == {WARNING}


@pytest.mark.parametrize(
    ("given", "level"),
    [
        (["10.0.0.0/8"], OK),
        (["10.0.0.0/7"], FAILED),
        (["fd00::/16", "127.0.0.1/32"], OK),
        (["fc00::/7"], FAILED),
        ([], WARNING),
    ],
)
def test_trusted_proxies_are_only_proxies(scene: Scene, given: list[str], level: Level) -> None:
    settings = load_settings(data_dir=scene.settings.data_dir, trusted_proxies=given)
    with seen_from_outside(replace(scene, settings=settings), status(200)) as site:
        assert levels(parts.proxies(site)) == {level}


def test_secret_that_others_may_read_is_named(scene: Scene) -> None:
    assert levels(machine.permissions(scene)) == {OK}
    key = scene.settings.data_dir / "keys" / "abc.pem"
    key.parent.mkdir(mode=0o700)
    key.write_text("private")
    key.chmod(0o640)
    (found,) = machine.permissions(scene)
    assert (found.level, found.mend) == (FAILED, f"chmod 600 {key}")
    assert "private" not in found.seen


@pytest.mark.parametrize(("hours", "level"), [(1, OK), (47, OK), (49, FAILED)])
def test_age_of_the_newest_backup_is_judged(scene: Scene, hours: int, level: Level) -> None:
    folder = scene.settings.data_dir
    next_file(folder, NOW - hours * 3600).write_bytes(b"\0" * 257 + b"ustar")
    next_file(folder, NOW).write_bytes(b"cut off")
    assert levels(machine.backups(replace(scene, backups=folder))) == {level}


def test_missing_backups_are_a_fault(scene: Scene, tmp_path: Path) -> None:
    assert levels(machine.backups(replace(scene, backups=tmp_path / "none"))) == {FAILED}


def test_disk_memory_versions_and_telemetry_are_told(scene: Scene) -> None:
    for check in (machine.disk, machine.memory, machine.versions, machine.telemetry):
        assert levels(check(scene)) <= {OK, WARNING, FAILED}


def test_missing_database_and_model_are_found_and_not_made(scene: Scene) -> None:
    assert levels(parts.database(scene)) == {WARNING}
    assert levels(parts.default_model(scene)) == {FAILED}
    assert list(scene.settings.data_dir.iterdir()) == []


def test_unreachable_database_is_a_fault_without_its_password(scene: Scene) -> None:
    given = "postgresql://potoo:a-secret@127.0.0.1:1/potoo"
    settings: Settings = load_settings(data_dir=scene.settings.data_dir, database_url=given)
    (found,) = parts.database(replace(scene, settings=settings))
    assert found.level is FAILED
    assert "a-secret" not in found.seen


@pytest.mark.parametrize(
    ("found", "expected"),
    [([], 0), ([OK, SKIPPED], 0), ([OK, WARNING], 1), ([FAILED, WARNING], 2)],
)
def test_exit_status_is_that_of_the_worst_finding(found: list[Level], expected: int) -> None:
    assert exit_status([Finding("x", level, "y") for level in found]) == expected


def test_machine_without_a_data_folder_checks_the_site_alone(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "none")
    found = {one.check: one.level for one in examine(settings, site="http://127.0.0.1:1")}
    assert {found[name] for name in OF_THE_FOLDER} == {SKIPPED}
    assert found["site"] is FAILED
    assert not settings.data_dir.exists()


def test_check_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, database_url="mysql://root@127.0.0.1/x")
    found = {one.check: one.level for one in examine(settings)}
    assert (found["database"], found["versions"], found["telemetry"]) == (FAILED, OK, OK)
