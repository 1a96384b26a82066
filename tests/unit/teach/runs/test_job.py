"""Jobs and messages as lines of JSON."""

from __future__ import annotations

import pytest

from schemas.teach.run import RunFailure, RunState, SkippedPhoto
from service.teach.runs.job import Job, JobPhoto, Message, Said

MESSAGES = [
    Message(said=Said.READY),
    Message(said=Said.STATE, state=RunState.FITTING),
    Message(said=Said.PROGRESS, done=0, total=40),
    Message(said=Said.SKIPPED, skipped=SkippedPhoto(photo="a", reason="It is none.")),
    Message(said=Said.TENSOR, tensor="features"),
    Message(said=Said.VERDICT, verdict='{"enough": true}\n'),
    Message(said=Said.FAILED, code=RunFailure.DIFFERS, detail="It differs.", trace="in\nlines"),
    Message(said=Said.FINISHED, seconds=1.5),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: str(message.said))
def test_a_message_is_one_line_that_reads_back(message: Message) -> None:
    line = message.line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert Message.parse(line) == message


def test_a_job_is_one_line_that_reads_back() -> None:
    job = Job(
        kind="teach",
        base="/models/a\nb/1",
        base_sha256="0" * 64,
        cache="/cache",
        photos=(JobPhoto("1", "d1", "/p/1", (0, 2), 5), JobPhoto("2", "d2", "/p/2", (), 6)),
        classes=("Glas \N{WHITE SMILING FACE}", "paper"),
        foreign=(JobPhoto("3", "d3", "/p/3"),),
    )
    line = job.line()
    assert line.count(b"\n") == 1
    assert Job.parse(line) == job


@pytest.mark.parametrize("line", [b"", b"{}\n", b'{"said": "sung"}\n', b'{"said": "state"', b"x\n"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        Message.parse(line)
