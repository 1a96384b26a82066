"""``potoo sensors simulate`` against a small server, and the files that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from schemas.operator_error import OperatorError
from schemas.sensor_wire.messages import Error, Hello
from service.cli import app
from service.cli.sensors.recordings import read_recording
from tests.support.sensors.served import served
from tests.support.sensors.tcp.small_server import SmallServer

ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n5,6\n",
        "left,right\n1,2\n3,4\n5,6\n",
        "\ufeff1;2\n3;4\n5;6\n",
        "1 2\n3 4\n\n5 6",
    ],
)
def test_csv_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")

    samples = read_recording(tmp_path / "a.csv")

    assert samples.dtype == np.float32
    assert samples.tolist() == ROWS


def test_csv_of_one_channel_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("volt\n1.5\n-2\n3e1\n")

    assert read_recording(tmp_path / "a.csv").tolist() == [[1.5], [-2], [30]]


@pytest.mark.parametrize("shape", [(6,), (3, 2), (1, 3, 2)])
def test_arrays_are_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(1, 7, dtype=np.float64).reshape(shape)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", windows=array, other=np.zeros(2))

    expected = [[float(one)] for one in range(1, 7)] if shape == (6,) else ROWS
    assert read_recording(tmp_path / "a.npy").tolist() == expected
    assert read_recording(tmp_path / "a.npz").tolist() == expected
    assert read_recording(tmp_path / "a.npz", "other").tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"1,2\n3\n", "row 2 has 1 numbers"),
        ("a.csv", b"1,2\n3,x\n", "could not convert"),
        ("a.csv", b"", "no samples"),
        ("a.npy", b"not an array", "a.npy"),
        ("a.npz", b"not an archive", "a.npz"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(OperatorError, match=message):
        read_recording(tmp_path / name)


def test_an_archive_names_its_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(2), y=np.zeros(2))

    with pytest.raises(OperatorError, match="there are: x, y"):
        read_recording(tmp_path / "a.npz")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmallServer]:
    """A server in a thread: windows of 100 samples."""
    np.save(tmp_path / "a.npy", np.arange(1000, dtype=np.float32))
    with served(SmallServer(tmp_path / "server.db")) as found:
        yield found


def run(server: SmallServer, tmp_path: Path, *more: str) -> tuple[int, str]:
    url = f"tcp://127.0.0.1:{server.port}"
    command = ["sensors", "simulate", str(tmp_path / "a.npy"), "--name", "pump-3", "--server", url]
    result = CliRunner().invoke(app, [*command, *more])
    return result.exit_code, result.output


@pytest.mark.parametrize("pace", [[], ["--rate", "1000", "--speed", "10"]])
def test_a_recording_is_replayed_and_the_answers_are_counted(
    server: SmallServer, tmp_path: Path, pace: list[str]
) -> None:
    status, output = run(server, tmp_path, "--token", "secret", *pace)

    assert status == 0
    assert "1,000 samples, 10 windows answered" in output
    assert "healthy       10  100.0%      100.0%" in output
    assert [hello.token for hello in server.hellos] == ["secret"]


def test_a_refusal_is_an_error(server: SmallServer, tmp_path: Path) -> None:
    def refuse(_: Hello) -> Error:
        return Error("not_found", "There is no such sensor.", fatal=True)

    server.refuses = refuse

    status, output = run(server, tmp_path)

    assert status == 1
    assert "potoo: There is no such sensor. (not_found)" in output


def test_fewer_samples_than_a_window_are_an_error(server: SmallServer, tmp_path: Path) -> None:
    server.length = 2000

    status, output = run(server, tmp_path)

    assert status == 1
    assert "fewer than a window" in output


def test_a_token_comes_from_a_file(server: SmallServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")

    run(server, tmp_path, "--token-file", str(tmp_path / "token"))

    assert [hello.token for hello in server.hellos] == ["from a file"]


def test_other_addresses_are_an_error(server: SmallServer, tmp_path: Path) -> None:
    status, output = run(server, tmp_path, "--server", "http://127.0.0.1")

    assert status == 1
    assert "tcp://host:port" in output
