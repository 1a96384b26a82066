"""Files of tokenizers: ordinary ones pass, hostile ones are refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.core.text import tokenizer_checks
from service.core.text.tokenizer_checks import TokenizerRefused, checked
from tests.support.models.text.tokenizers import (
    TEMPLATE,
    UNIGRAM,
    VOCABULARY,
    WORD_LEVEL,
    WORD_PIECE,
    changed,
)

BPE: dict[str, Any] = {
    "version": "1.0",
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True},
    "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
}
BYTES = {"type": "ByteLevel"}
REFUSED = {
    "no JSON": (b"{", "is not JSON"),
    "a list": (b"[]", "the file is not an object"),
    "deep nesting": (b'{"normalizer":' + b"[" * 100_000, "is not JSON"),
    "NaN": (changed(UNIGRAM, "model.vocab", [["a", float("nan")]]), "is not JSON"),
    "a lone surrogate": (b'{"model": {"type": "\\ud800"}}', "is not JSON"),
    "an unknown member": (changed(BPE, "extra", 1), "the unknown member 'extra'"),
    "no model": (changed(BPE, "model", None), "model has no type"),
    "an unknown model": (changed(BPE, "model.type", "Magic"), "model has type 'Magic'; allowed"),
    "a sampled model": (changed(UNIGRAM, "model.alpha", 0.1), "unknown member 'alpha'"),
    "dropout": (changed(BPE, "model.dropout", 0.5), "the same text differently"),
    "a Replace": (
        changed(
            BPE, "normalizer", {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
        ),
        "normalizer has type 'Replace'",
    ),
    "a hidden Replace": (
        changed(
            BPE,
            "normalizer",
            {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace"}]},
        ),
        "normalizer has type 'Replace'",
    ),
    "a character map": (
        changed(BPE, "normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        "normalizer has type 'Precompiled'",
    ),
    "growth by repeated steps": (
        changed(BPE, "normalizer", {"type": "Sequence", "normalizers": [BYTES] * 12}),
        "has the step ByteLevel more than once",
    ),
    "growth by nested steps": (
        changed(
            BPE,
            "pre_tokenizer",
            {
                "type": "Sequence",
                "pretokenizers": [BYTES, {"type": "Sequence", "pretokenizers": [BYTES]}],
            },
        ),
        "has the step ByteLevel more than once",
    ),
    "many steps": (
        changed(BPE, "normalizer", {"type": "Sequence", "normalizers": [BYTES] * 1000}),
        "normalizer has 1,000 steps",
    ),
    "a regular expression": (
        changed(
            BPE,
            "pre_tokenizer",
            {
                "type": "Split",
                "pattern": {"Regex": "(a+)+$"},
                "behavior": "Isolated",
                "invert": False,
            },
        ),
        "regular expressions are not allowed",
    ),
    "a length of zero": (
        changed(BPE, "pre_tokenizer", {"type": "FixedLength", "length": 0}),
        "FixedLength.length is not at least 1",
    ),
    "a huge parameter": (
        changed(BPE, "normalizer", {"type": "Prepend", "prepend": "x" * 1000}),
        "Prepend.prepend is neither",
    ),
    "a long word": (
        changed(WORD_PIECE, "model.max_input_chars_per_word", 10**9),
        "max_input_chars_per_word is not 1 to 1000",
    ),
    "a number beyond any table": (
        changed(WORD_LEVEL, "model.vocab", VOCABULARY | {"x": 2**32 - 1}),
        "whose number is not 0 to 2147483647",
    ),
    "a negative number": (
        changed(WORD_LEVEL, "model.vocab", VOCABULARY | {"x": -1}),
        "whose number is not",
    ),
    "a number that is true": (
        changed(WORD_LEVEL, "model.vocab", VOCABULARY | {"x": True}),
        "whose number is not",
    ),
    "merges of three": (changed(BPE, "model.merges", ["a b c"]), "is no pair of tokens"),
    "merges that are numbers": (changed(BPE, "model.merges", [1]), "is no pair of tokens"),
    "no scores": (changed(UNIGRAM, "model.vocab", ["a"]), "no token with a finite score"),
    "an unknown token that is none": (
        changed(UNIGRAM, "model.unk_id", 6),
        "unk_id is no entry of the vocabulary",
    ),
    "an empty added token": (
        changed(BPE, "added_tokens", [{"id": 3, "content": ""}]),
        "has an empty token",
    ),
    "a template of two texts": (
        changed(WORD_PIECE, "post_processor.single", [TEMPLATE["single"][1]] * 2),
        "has 2 places for the text",
    ),
    "a template of many tokens": (
        changed(WORD_PIECE, "post_processor.single", TEMPLATE["single"] * 1000),
        "single has 3,000 pieces",
    ),
    "a template of unknown tokens": (
        changed(WORD_PIECE, "post_processor.special_tokens", {}),
        "neither a text nor a known special token",
    ),
}


@pytest.mark.parametrize("document", [BPE, WORD_PIECE, UNIGRAM, WORD_LEVEL])
def test_ordinary_files_pass_without_their_padding_truncation_and_decoder(
    document: dict[str, Any],
) -> None:
    found = json.loads(checked(json.dumps(document).encode()).data)
    assert (found["padding"], found["truncation"], found["decoder"]) == (None, None, None)
    assert found["model"] == document["model"]
    assert found["pre_tokenizer"] == document["pre_tokenizer"]


@pytest.mark.parametrize("case", REFUSED)
def test_hostile_files_are_refused_with_a_sentence(case: str) -> None:
    data, reason = REFUSED[case]
    with pytest.raises(TokenizerRefused) as refused:
        checked(data)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("limit", "document", "reason"),
    [
        ("MAX_ENTRIES", WORD_LEVEL, "model.vocab has 12 tokens; at most 0 are allowed"),
        ("MAX_ENTRIES", UNIGRAM, "model.vocab has 6 tokens; at most 0 are allowed"),
        ("MAX_MERGES", BPE, "model.merges has 1 merges; at most 0 are allowed"),
        ("MAX_ADDED", WORD_PIECE, "added_tokens has 4 tokens; at most 0 are allowed"),
        ("MAX_BYTES", BPE, "is larger than 0 MiB"),
    ],
)
def test_counts_are_limited(
    monkeypatch: pytest.MonkeyPatch, limit: str, document: dict[str, Any], reason: str
) -> None:
    monkeypatch.setattr(tokenizer_checks, limit, 0)
    with pytest.raises(TokenizerRefused, match=reason):
        checked(json.dumps(document).encode())


def test_size_counts_added_and_special_tokens() -> None:
    assert checked(json.dumps(WORD_PIECE).encode()).size == len(VOCABULARY)
    added = changed(BPE, "added_tokens", [{"id": 70, "content": "<x>"}])
    assert checked(added).size == 71
    special = {"[CLS]": {"id": "[CLS]", "ids": [80], "tokens": ["[CLS]"]}}
    template = {"single": TEMPLATE["single"][:2], "special_tokens": special}
    assert checked(changed(BPE, "post_processor", TEMPLATE | template)).size == 81


def test_of_a_repeated_member_the_library_gets_the_one_that_was_checked() -> None:
    doubled = json.dumps(BPE)[:-1] + ', "normalizer": {"type": "Replace"}, "normalizer": null}'
    assert json.loads(checked(doubled.encode()).data)["normalizer"] is None
