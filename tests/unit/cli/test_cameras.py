"""``potoo cameras``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.cameras.snapshots import SnapshotCamera, snapshot_camera
from tests.support.models.pictures import plain
from tests.unit.cli.conftest import Potoo, failed

URL = "http://127.0.0.1:9/snapshot.jpg"
HIDDEN = "hunter2hunter2"


@pytest.fixture
def camera() -> Iterator[SnapshotCamera]:
    with snapshot_camera() as camera:
        camera.show(plain(format="JPEG"))
        yield camera


@pytest.fixture
def door(potoo: Potoo, data_dir: Path) -> str:
    result = potoo("cameras", "add", "door", "--url", URL, "--data-dir", data_dir)
    assert (result.exit_code, result.stdout) == (0, f"added door: {URL}\n")
    return "door"


def spec(potoo: Potoo, data_dir: Path, name: str = "door") -> dict[str, object]:
    shown = potoo("cameras", "show", name, "--data-dir", data_dir)
    found: dict[str, object] = json.loads(shown.stdout)["spec"]
    return found


def test_options_are_stored(potoo: Potoo, data_dir: Path) -> None:
    result = potoo(
        *("cameras", "add", "door", "--url", URL, "--every", "500ms"),
        *("--crop", "0.2,0.1,0.6,0.8", "--model", "bins", "--motion", "2", "--still", "2m"),
        *("--agree", "3/5", "--enter-score", "0.6", "--leave-score", "0.4"),
        *("--silent-after", "1h", "--data-dir", data_dir),
    )
    assert result.exit_code == 0, result.stderr
    assert spec(potoo, data_dir) == {
        "url": URL,
        "username": None,
        "secret": None,
        "model": "bins",
        "every_seconds": 0.5,
        "crop": {"x": 0.2, "y": 0.1, "width": 0.6, "height": 0.8},
        "motion_threshold": 2,
        "still_seconds": 120,
        "agree": 3,
        "of": 5,
        "enter_score": 0.6,
        "leave_score": 0.4,
        "silent_after_seconds": 3600,
    }


def test_model_must_be_in_the_repository(
    potoo: Potoo, data_dir: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = ("cameras", "add", "door", "--url", URL, "--data-dir", data_dir, "--model")
    absent = potoo(*add, "colours")
    assert absent.exit_code == 0
    assert "there is no model repository" in absent.stderr
    potoo("cameras", "remove", "door", "--data-dir", data_dir)
    monkeypatch.setenv("POTOO_MODELS", str(colours))
    failed(potoo(*add, "nosuch"), "there is no model 'nosuch'")
    assert potoo(*add, "colours").exit_code == 0
    change = ("cameras", "change", "door", "--data-dir", data_dir, "--model")
    failed(potoo(*change, "nosuch"), "there is no model 'nosuch'")
    assert potoo(*change, "none").exit_code == 0


def test_secret_of_the_webhooks_is_not_needed(
    potoo: Potoo, data_dir: Path, tmp_path: Path, door: str
) -> None:
    config = tmp_path / "potoo.toml"
    config.write_text('webhooks.urls = ["https://hooks.example/a"]\n')
    listed = potoo("cameras", "list", "--config", config, "--data-dir", data_dir)
    assert (listed.exit_code, listed.stdout.split("\t")[0]) == (0, door)


def test_change_keeps_what_is_not_given(potoo: Potoo, data_dir: Path) -> None:
    potoo(
        *("cameras", "add", "door", "--url", URL, "--crop", "0,0,0.5,0.5"),
        *("--username", "anna", "--password-stdin", "--data-dir", data_dir),
        stdin=f"{HIDDEN}\n",
    )
    result = potoo("cameras", "change", "door", "--every", "5s", "--data-dir", data_dir)
    assert (result.exit_code, result.stdout) == (0, "changed door\n")
    shown = potoo("cameras", "show", "door", "--data-dir", data_dir).stdout
    assert json.loads(shown)["has_credentials"] is True
    assert HIDDEN not in shown
    assert spec(potoo, data_dir)["crop"] is not None
    potoo("cameras", "change", "door", "--crop", "none", "--data-dir", data_dir)
    assert spec(potoo, data_dir)["crop"] is None
    assert spec(potoo, data_dir)["every_seconds"] == 5
    assert HIDDEN.encode() not in (data_dir / "potoo.db").read_bytes()
    assert HIDDEN not in (data_dir / ".audit.log").read_text()


def test_login_may_be_the_word_that_removes_other_values(potoo: Potoo, data_dir: Path) -> None:
    potoo(
        *("cameras", "add", "door", "--url", URL, "--model", "none"),
        *("--username", "none", "--password-stdin", "--data-dir", data_dir),
        stdin="none\n",
    )
    shown = json.loads(potoo("cameras", "show", "door", "--data-dir", data_dir).stdout)
    assert (shown["has_credentials"], shown["spec"]["model"]) == (True, None)


def test_list_shows_status_state_and_url(potoo: Potoo, data_dir: Path, door: str) -> None:
    assert potoo("cameras", "pause", door, "--data-dir", data_dir).stdout == "paused door\n"
    listed = potoo("cameras", "list", "--data-dir", data_dir).stdout
    assert listed == f"door\tpaused\t-\t{URL}\n"
    assert potoo("cameras", "resume", door, "--data-dir", data_dir).stdout == "resumed door\n"
    assert "\tstarting\t" in potoo("cameras", "list", "--data-dir", data_dir).stdout


def test_removed_camera_is_gone(potoo: Potoo, data_dir: Path, door: str) -> None:
    assert potoo("cameras", "remove", door, "--data-dir", data_dir).stdout == "removed door\n"
    for command in ("show", "remove", "pause", "events", "test"):
        failed(potoo("cameras", command, door, "--data-dir", data_dir), "There is no camera")


def test_events_of_a_new_camera_are_none(potoo: Potoo, data_dir: Path, door: str) -> None:
    result = potoo("cameras", "events", door, "--data-dir", data_dir)
    assert (result.exit_code, result.stdout) == (0, "")


def test_followed_camera_that_is_removed_ends_the_command(
    potoo: Potoo, data_dir: Path, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def remove_meanwhile() -> None:
        with closing(sqlite3.connect(data_dir / "potoo.db")) as store, store:
            store.execute("DELETE FROM cameras")

    monkeypatch.setattr("service.cli.shared.event_lines._pause", remove_meanwhile)
    result = potoo("cameras", "events", door, "--follow", "--data-dir", data_dir)
    failed(result, "There is no camera")


def test_changes_are_audited(potoo: Potoo, data_dir: Path, door: str) -> None:
    potoo("cameras", "pause", door, "--data-dir", data_dir)
    potoo("cameras", "remove", door, "--data-dir", data_dir)
    lines = [json.loads(line) for line in (data_dir / ".audit.log").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "camera_added",
        "camera_changed",
        "camera_removed",
    ]
    assert all(line["camera"] == "door" and line["account"].startswith("cli:") for line in lines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--every", "often"), "often is no duration"),
        (("--every", "10ms"), "every_seconds"),
        (("--crop", "1,2"), "--crop is x,y,width,height"),
        (("--crop", "0.9,0,0.5,1"), "beyond the picture"),
        (("--crop", "a,b,c,d"), "a is no number"),
        (("--agree", "5"), "--agree is written like 2/3"),
        (("--agree", "3/2"), "'agree' is at most 'of'"),
        (("--secret", "../x"), "secret"),
        (("--secret", "door", "--username", "anna"), "Give either 'secret'"),
    ],
)
def test_malformed_options_are_explained(
    potoo: Potoo, data_dir: Path, options: tuple[str, ...], message: str
) -> None:
    failed(potoo("cameras", "add", "door", "--url", URL, *options, "--data-dir", data_dir), message)


@pytest.mark.parametrize("name", ["Door", "../x", "front door"])
def test_names_are_explained(potoo: Potoo, data_dir: Path, name: str) -> None:
    result = potoo("cameras", "add", name, "--url", URL, "--data-dir", data_dir)
    failed(result, "name: write 1 to 63 small letters, digits")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://169.254.169.254/", "a cloud's metadata service"),
        ("http://8.8.8.8/a.jpg", "cameras.networks"),
        ("gopher://x/", "The URL begins with"),
        ("file:///etc/passwd", "cameras.files_dir"),
    ],
)
def test_refused_addresses_are_explained(
    potoo: Potoo, data_dir: Path, url: str, message: str
) -> None:
    failed(potoo("cameras", "add", "door", "--url", url, "--data-dir", data_dir), message)


def test_camera_is_tried(
    potoo: Potoo,
    data_dir: Path,
    tmp_path: Path,
    camera: SnapshotCamera,
    colours: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POTOO_MODELS", str(colours))
    potoo("cameras", "add", "door", "--url", camera.url, "--data-dir", data_dir)
    out = tmp_path / "frame.jpg"
    result = potoo("cameras", "test", "door", "--out", out, "--data-dir", data_dir)
    assert result.exit_code == 0, result.stderr
    assert out.read_bytes() == camera.body
    assert "red" in result.stdout
    camera.fail(403)
    failed(potoo("cameras", "test", "door", "--data-dir", data_dir), "403")


def test_secret_of_the_operator_is_read(
    potoo: Potoo,
    data_dir: Path,
    tmp_path: Path,
    camera: SnapshotCamera,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "door").write_text(f"anna:{HIDDEN}\n")
    monkeypatch.setenv("POTOO_CAMERAS__SECRETS_DIR", str(tmp_path))
    camera.fail(401)
    add = ("cameras", "add", "door", "--url", camera.url, "--secret", "door")
    assert potoo(*add, "--data-dir", data_dir).exit_code == 0
    failed(potoo("cameras", "test", "door", "--data-dir", data_dir), "unauthorized")
    assert (camera.authorization or "").startswith("Basic ")
    potoo("cameras", "change", "door", "--secret", "absent", "--data-dir", data_dir)
    failed(potoo("cameras", "test", "door", "--data-dir", data_dir), "no readable file absent")
