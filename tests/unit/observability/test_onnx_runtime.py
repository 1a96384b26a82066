"""ONNX Runtime does not write into our log; what it only logs is captured."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from observability.onnx_runtime import errors_that_are_only_logged, ort
from schemas.errors import InferenceFailed
from service.core.engine.onnx_engine import OnnxEngine
from service.core.repository.version_files import read_manifest
from tests.support.models.tiny_model import SIDE, write_model

LINE = (
    b"\x1b[1;31m2026-01-01 10:00:00.5 [E:onnxruntime:Default, bridge.cc:2 Load] "
    b"Failed to load lib.so: no such file\x1b[m\n"
)
WITHOUT_COLOUR = re.sub(rb"\x1b\[[\d;]*m", b"", LINE)


@pytest.mark.parametrize("line", [LINE, WITHOUT_COLOUR])
def test_lines_of_onnx_runtime_are_captured_and_others_pass(
    line: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with errors_that_are_only_logged() as errors:
        os.write(2, b'{"event": "ours"}\n')
        os.write(2, line)
    assert errors == ["Failed to load lib.so: no such file"]
    assert capfd.readouterr().err == '{"event": "ours"}\n'


def test_capture_ends_with_an_exception(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), errors_that_are_only_logged():
        raise ZeroDivisionError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_captures_of_threads_do_not_mix(capfd: pytest.CaptureFixture[str]) -> None:
    found: list[list[str]] = []

    def capture() -> None:
        with errors_that_are_only_logged() as errors:
            os.write(2, LINE)
        found.append(errors)

    threads = [threading.Thread(target=capture) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(errors) for errors in found] == [1] * 8
    assert capfd.readouterr().err == ""


def test_run_errors_are_raised_and_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_model(tmp_path)
    engine = OnnxEngine(folder / "model.onnx", read_manifest(folder))
    with pytest.raises(InferenceFailed) as caught:
        engine.run(np.zeros((1, 5, SIDE, SIDE), np.float32))
    assert "invalid dimensions" in str(caught.value.__cause__)
    assert capfd.readouterr().err == ""


def test_errors_of_a_load_are_raised_and_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"no model")
    with pytest.raises(Exception, match="Protobuf parsing failed"):
        ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert capfd.readouterr().err == ""
