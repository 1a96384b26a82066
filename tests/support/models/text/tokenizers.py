"""Small tokenizers of every kind, written as the JSON of their files, and texts to try them with."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from schemas.manifest.text import TextSpec

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "sea", "is", "calm", "##s", "##ly", "e", "é")
VOCABULARY = {word: number for number, word in enumerate(WORDS)}
TEMPLATE: dict[str, Any] = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ],
    "pair": [
        {"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "B", "type_id": 1}},
    ],
    "special_tokens": {
        name: {"id": name, "ids": [VOCABULARY[name]], "tokens": [name]}
        for name in ("[CLS]", "[SEP]")
    },
}
WORD_PIECE: dict[str, Any] = {
    "version": "1.0",
    "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
    "padding": {
        "strategy": {"Fixed": 128},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    },
    "added_tokens": [
        {
            "id": VOCABULARY[name],
            "content": name,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    ],
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": TEMPLATE,
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": VOCABULARY,
    },
}
"""As of a BERT: it cuts at 3 tokens and pads to 128, which the server must not."""
UNIGRAM: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
    "post_processor": None,
    "decoder": None,
    "model": {
        "type": "Unigram",
        "unk_id": 0,
        "vocab": [
            ["<unk>", 0.0],
            ["▁", -2.0],
            ["s", -2.5],
            ["e", -2.5],
            ["a", -2.5],
            ["sea", -1.0],
        ],
        "byte_fallback": False,
    },
}
WORD_LEVEL: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [],
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": VOCABULARY, "unk_token": "[UNK]"},
}
DIFFICULT = {
    "nothing": "",
    "spaces": " \t\n\u00a0\u3000 ",
    "emoji sequences": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇪🇺 1️⃣",
    "combining marks": "e\u0301e\u0300 a\u0323\u0308 \u1e9b\u0323 q\u0307\u0323",
    "right to left": "שלום עולם! مرحبا بالعالم 123 \u202eabc\u202c",
    "no spaces": "明日は電車で海へ行きます。天気がよければ。",
    "controls": "a\u0000b\u0007c\u200b\u200e\ufeffd\ufffd",
    "beyond the first plane": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𠮷野家 \U0010ffff",
    "one long word": "sea" * 700,
}


def changed(document: dict[str, Any], path: str, value: object) -> bytes:
    """The JSON of a tokenizer with one member set; ``path``: names joined by dots."""
    copy = deepcopy(document)
    *parents, last = path.split(".")
    place = copy
    for name in parents:
        place = place[name]
    place[last] = value
    return json.dumps(copy).encode()


def written(folder: Path, document: dict[str, Any]) -> Path:
    """The file of a tokenizer."""
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def spec(**changes: object) -> TextSpec:
    """Input of a text model, with some members changed."""
    given: dict[str, object] = {"kind": "text", "ids": "ids", "mask": "mask", "max_tokens": 32}
    return TextSpec.model_validate(given | changes)
