"""Files of tokenizers are tried in a process, whose end is a refusal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service.core.text import tokenizer_trial
from service.core.text.tokenizer import TokenizerRefused, open_tokenizer
from service.core.text.tokenizer_trial import tried
from tests.support.models.text.tokenizers import WORD_PIECE, changed, spec, written

pytestmark = pytest.mark.process


def test_a_file_is_tried_in_a_process_and_opened(tmp_path: Path) -> None:
    found = open_tokenizer(written(tmp_path, WORD_PIECE), spec())
    assert found.size == 12
    assert found.encode("the sea").tokens == ["[CLS]", "the", "sea", "[SEP]"]


def test_faults_name_the_file_and_not_its_folder(tmp_path: Path) -> None:
    with pytest.raises(TokenizerRefused) as refused:
        open_tokenizer(tmp_path / "tokenizer.json", spec())
    assert str(refused.value) == "tokenizer.json cannot be read: No such file or directory"
    file = tmp_path / "tokenizer.json"
    file.write_bytes(changed(WORD_PIECE, "model.vocab", {"a": -1}))
    with pytest.raises(TokenizerRefused) as refused:
        open_tokenizer(file, spec())
    assert str(refused.value).startswith("tokenizer.json: model.vocab has a token whose number")


def test_what_the_library_refuses_is_said() -> None:
    with pytest.raises(TokenizerRefused, match="cannot be used: "):
        tried(changed(WORD_PIECE, "pre_tokenizer", {"type": "Punctuation", "behavior": "x"}), 100)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "needs more than 2 GiB of memory or 20 s of CPU time"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "20 s of CPU time"),
        ("bytes(2**40)", "needs more than 2 GiB of memory"),
        ("raise SystemExit(3)", "ends the process that tries it"),
        ("import signal; signal.pause()", "is not tried within 1 s"),
    ],
)
def test_a_process_that_does_not_survive_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    limited = "from service.core.text.tokenizer_child import _confine; _confine(); "
    monkeypatch.setattr(tokenizer_trial, "COMMAND", (sys.executable, "-c", limited + code))
    with pytest.raises(TokenizerRefused, match=reason):
        tried(b"{}", 100, timeout=1 if "pause" in code else 60)
