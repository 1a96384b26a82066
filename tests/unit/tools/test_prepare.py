"""Files for compose: generated passwords, each readable by one service only."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from service.settings import load_settings
from tests.support.deploy.compose_files import filled_in, services
from tests.support.repository import ROOT
from tools.prepare import cpus, main


def prepare(folder: Path, *arguments: str) -> None:
    main(["--site", "cam.example.org", "--folder", str(folder), *arguments])


def chosen(folder: Path) -> dict[str, str]:
    """Settings in ``.env``."""
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def megabytes(amount: str) -> float:
    """An amount of memory as Docker takes it, such as ``${POTOO_MEMORY:-2g}``."""
    text = filled_in(amount)
    return float(text[:-1]) * {"m": 1, "g": 1024}[text[-1]]


def secrets(folder: Path) -> dict[str, str]:
    """Every file with its text."""
    files = (folder / "secrets").glob("*/*")
    return {str(file.relative_to(folder / "secrets")): file.read_text() for file in files}


def test_single_box_has_two_passwords_and_no_store(tmp_path: Path) -> None:
    prepare(tmp_path)
    found = secrets(tmp_path)
    assert set(found) == {"potoo/potoo_admin_password", "grafana/admin_password"}
    assert len(set(found.values())) == 2
    assert min(map(len, found.values())) > 30
    assert chosen(tmp_path) == {
        "COMPOSE_PROFILES": "box,watch",
        "POTOO_SITE": "cam.example.org",
        "POTOO_TLS": "internal",
        "POTOO_REPLICAS": "1",
        "POTOO_CPUS": str(os.cpu_count() or 1),
    }


@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
@pytest.mark.parametrize("cores", range(1, 257))
def test_cpus_are_a_plain_number_that_fits_the_machine(cores: int, replicas: int) -> None:
    text = cpus(cores, replicas)
    assert re.fullmatch(r"\d+(\.\d{1,2})?", text), "Docker takes no exponent"
    assert cores / replicas - 0.01 < float(text) <= cores / replicas


def test_replicas_share_stores_with_matching_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, "--replicas", "3")
    assert chosen(tmp_path)["COMPOSE_PROFILES"] == "replicas,watch"
    assert chosen(tmp_path)["POTOO_REPLICAS"] == "3"
    monkeypatch.setenv("POTOO_SECRETS_DIR", str(tmp_path / "secrets" / "potoo"))
    settings = load_settings()
    found = {name: text.strip() for name, text in secrets(tmp_path).items()}
    assert settings.database_url
    assert f":{found['postgres/password']}@postgres/" in settings.database_url.get_secret_value()
    assert settings.auth.rate_store
    assert f":{found['redis/password']}@redis:" in settings.auth.rate_store.get_secret_value()
    assert found["redis/redis.conf"].startswith(f"requirepass {found['redis/password']}\n")


def test_replicas_with_an_email_address_get_an_acme_client(tmp_path: Path) -> None:
    prepare(tmp_path, "--replicas", "2", "--email", "me@example.org")
    found = chosen(tmp_path)
    assert found["COMPOSE_FILE"] == "compose.yaml:compose.acme.yaml"
    assert found["POTOO_TLS"] == "me@example.org"
    (tmp_path / ".env").unlink()
    prepare(tmp_path, "--replicas", "2")
    assert "COMPOSE_FILE" not in chosen(tmp_path)


def test_small_box_is_not_monitored(tmp_path: Path) -> None:
    prepare(tmp_path, "--small", "--email", "me@example.org")
    found = chosen(tmp_path)
    assert found["COMPOSE_PROFILES"] == "box"
    assert found["COMPOSE_FILE"] == "compose.yaml:compose.edge.yaml"
    assert found["POTOO_TLS"] == "me@example.org"


def test_small_box_has_lower_limits_than_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, small = services(), services("compose.edge.yaml")
    for name, service in small.items():
        limits, lower = (one["deploy"]["resources"]["limits"] for one in (usual[name], service))
        assert megabytes(lower["memory"]) < megabytes(limits["memory"])
        assert lower["pids"] < limits["pids"]
    before = load_settings()
    for variable, value in small["potoo"]["environment"].items():
        monkeypatch.setenv(variable, value)
    after = load_settings()
    lowered = {
        name
        for name, limit in after.limits
        if isinstance(limit, int) and limit < getattr(before.limits, name)
    }
    assert lowered == {
        variable.removeprefix("POTOO_LIMITS__").lower()
        for variable in small["potoo"]["environment"]
        if variable.startswith("POTOO_LIMITS__")
    }
    assert after.inference.queue_capacity < before.inference.queue_capacity


def test_address_site_is_the_default_server_name(tmp_path: Path) -> None:
    # They send no host name, and in a container Caddy does not know the machine's address.
    main(["--site", "192.168.1.20", "--folder", str(tmp_path)])
    assert chosen(tmp_path)["POTOO_DEFAULT_SNI"] == "192.168.1.20"
    handed_on = "POTOO_DEFAULT_SNI: ${POTOO_DEFAULT_SNI:-localhost}"
    assert handed_on in (ROOT / "deploy" / "compose.yaml").read_text()


def test_single_box_can_have_stores(tmp_path: Path) -> None:
    prepare(tmp_path, "--stores")
    assert chosen(tmp_path)["COMPOSE_PROFILES"] == "box,stores,watch"
    assert "potoo/potoo_database_url" in secrets(tmp_path)


def test_secrets_are_readable_by_services_only(tmp_path: Path) -> None:
    before = os.umask(0o077)  # the strictest of those in use
    try:
        prepare(tmp_path, "--replicas", "2")
    finally:
        os.umask(before)
    folder = tmp_path / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(inner.stat().st_mode) for inner in folder.iterdir()} == {0o755}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.glob("*/*")} == {0o444}


def test_passwords_are_neither_printed_nor_in_the_env_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path, "--replicas", "2")
    shown = capsys.readouterr().out + (tmp_path / ".env").read_text()
    assert "potoo_admin_password" in shown, "only where it is"
    for text in secrets(tmp_path).values():
        assert text.strip() not in shown


def test_existing_secrets_and_choices_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path)
    before = secrets(tmp_path), chosen(tmp_path)
    prepare(tmp_path, "--small")
    assert (secrets(tmp_path), chosen(tmp_path)) == before
    assert f"kept     {tmp_path / '.env'}" in capsys.readouterr().out


def test_added_stores_keep_existing_secrets(tmp_path: Path) -> None:
    prepare(tmp_path)
    admin = secrets(tmp_path)["potoo/potoo_admin_password"]
    prepare(tmp_path, "--stores")
    with_stores = secrets(tmp_path)
    assert with_stores["potoo/potoo_admin_password"] == admin
    (tmp_path / "secrets/potoo/potoo_database_url").unlink()
    prepare(tmp_path, "--stores")
    assert secrets(tmp_path) == with_stores, "made anew of the password that the database has"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--site", "https://cam.example.org"],
        ["--site", "cam.example.org:443"],
        ["--site", "$(reboot)"],
        ["--replicas", "0"],
        ["--replicas", "two"],
        ["--email", "me"],
        ["--small", "--stores"],
        ["--small", "--replicas", "2"],
    ],
)
def test_invalid_arguments_are_refused_and_write_nothing(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        prepare(tmp_path, *arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "error: " in told
    assert "invalid" not in told, "argparse's words, not ours"
    assert not any(tmp_path.iterdir())
