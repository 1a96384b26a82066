"""Checks of a tokenizer's file: only known parts, within limits, and none that may run away.

A file of the format of Hugging Face's ``tokenizers`` is a program of small steps. Some steps are
unsafe in a file of unknown origin: regular expressions may backtrack forever, and replacements may
multiply a text until the process is out of memory. The checks return the file written anew, so
that the library reads exactly what was checked: of a repeated JSON member, readers choose
different ones. Padding, truncation and the decoder are left out: the server has its own, or none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

MAX_BYTES = 32 * 2**20
MAX_ENTRIES = 300_000
MAX_MERGES = 600_000
MAX_TOKEN_CHARACTERS = 1024
MAX_ADDED = 10_000
MAX_STEPS = 16
MAX_WORD_CHARACTERS = 1000
"""WordPiece tries each part of a word: the time grows with the square of its length or more."""
MAX_TEXT = 64
"""Characters of a text that is a parameter of a step."""
MAX_ID = 2**31 - 1

Json = Mapping[str, Any]

_NORMALIZERS = {
    "BertNormalizer": {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"},
    "ByteLevel": set[str](),
    "Lowercase": set[str](),
    "NFC": set[str](),
    "NFD": set[str](),
    "NFKC": set[str](),
    "NFKD": set[str](),
    "Nmt": set[str](),
    "Prepend": {"prepend"},
    "Strip": {"strip_left", "strip_right"},
    "StripAccents": set[str](),
}
_BYTE_LEVEL = {"add_prefix_space", "trim_offsets", "use_regex"}
_PRE_TOKENIZERS = {
    "BertPreTokenizer": set[str](),
    "ByteLevel": _BYTE_LEVEL,
    "CharDelimiterSplit": {"delimiter"},
    "Digits": {"individual_digits"},
    "FixedLength": {"length"},
    "Metaspace": {"replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"},
    "Punctuation": {"behavior"},
    "Split": {"pattern", "behavior", "invert"},
    "UnicodeScripts": set[str](),
    "Whitespace": set[str](),
    "WhitespaceSplit": set[str](),
}
_POST_PROCESSORS = {
    "BertProcessing": {"sep", "cls"},
    "ByteLevel": _BYTE_LEVEL,
    "RobertaProcessing": {"sep", "cls", "trim_offsets", "add_prefix_space"},
    "TemplateProcessing": {"single", "pair", "special_tokens"},
}
_MODELS = {
    "BPE": {
        *("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk"),
        *("byte_fallback", "ignore_merges", "vocab", "merges"),
    },
    "Unigram": {"unk_id", "vocab", "byte_fallback"},
    "WordLevel": {"unk_token", "vocab"},
    "WordPiece": {
        *("unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"),
    },
}
_ADDED = {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}
_TOP = {
    *("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer"),
    *("post_processor", "decoder", "model"),
}


class TokenizerRefused(Exception):
    """A tokenizer cannot be used; the message says why, without a path."""


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A tokenizer's file, written anew after the checks.

    Attributes:
        data: the JSON.
        size: one more than the largest number of a token.
    """

    data: bytes
    size: int


def checked(data: bytes) -> CheckedFile:
    """Check the JSON of a tokenizer. Pure; its memory is some ten times that of ``data``.

    Raises:
        TokenizerRefused: the first fault, with the member's name.
    """
    if len(data) > MAX_BYTES:
        raise TokenizerRefused(f"is larger than {MAX_BYTES // 2**20} MiB")
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise TokenizerRefused(f"is not JSON: {error}") from None
    top = _object(found, "the file", _TOP)
    model, largest = _model(top.get("model"))
    added, largest_added = _added(top.get("added_tokens"))
    post, largest_special = _post_processor(top.get("post_processor"))
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": _steps(top.get("normalizer"), "normalizer", "normalizers", _NORMALIZERS),
        "pre_tokenizer": _steps(
            top.get("pre_tokenizer"), "pre_tokenizer", "pretokenizers", _PRE_TOKENIZERS
        ),
        "post_processor": post,
        "decoder": None,
        "model": model,
    }
    size = 1 + max(largest, largest_added, largest_special)
    return CheckedFile(orjson.dumps(document), size)


def _model(found: object) -> tuple[Json, int]:
    """Return the model, and the largest number of a token."""
    name = _type(found, "model", _MODELS)
    model = _object(found, "model", {"type", *_MODELS[name]})
    if name == "Unigram":
        return model, _unigram(model)
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict):
        _refuse("model.vocab", "is not an object of tokens and their numbers")
    _count(len(vocabulary), "model.vocab", MAX_ENTRIES, "tokens")
    for token in vocabulary:
        _token(token, "model.vocab")
    largest = max((_id(number, "model.vocab") for number in vocabulary.values()), default=0)
    if name == "BPE":
        _merges(model.get("merges"))
        if model.get("dropout"):
            _refuse("model.dropout", "would cut the same text differently each time")
    if name == "WordPiece":
        most = model.get("max_input_chars_per_word", 100)
        if not _is_number(most) or not 1 <= most <= MAX_WORD_CHARACTERS:
            _refuse("model.max_input_chars_per_word", f"is not 1 to {MAX_WORD_CHARACTERS}")
    _scalars({key: model[key] for key in model.keys() - {"vocab", "merges"}}, "model")
    return model, largest


def _unigram(model: Json) -> int:
    entries = model.get("vocab")
    if not isinstance(entries, list):
        _refuse("model.vocab", "is not a list of tokens and their scores")
    _count(len(entries), "model.vocab", MAX_ENTRIES, "tokens")
    for entry in entries:
        match entry:
            case [str(token), int() | float() as score] if math.isfinite(score):
                _token(token, "model.vocab")
            case _:
                _refuse("model.vocab", "has an entry that is no token with a finite score")
    unknown = model.get("unk_id")
    if unknown is not None and not (_is_number(unknown) and 0 <= unknown < len(entries)):
        _refuse("model.unk_id", "is no entry of the vocabulary")
    _scalars({key: model[key] for key in model.keys() - {"vocab"}}, "model")
    return len(entries) - 1


def _merges(found: object) -> None:
    if not isinstance(found, list):
        _refuse("model.merges", "is not a list")
    _count(len(found), "model.merges", MAX_MERGES, "merges")
    for merge in found:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2:
            _refuse("model.merges", "has an entry that is no pair of tokens")
        for part in parts:
            _token(part, "model.merges")


def _added(found: object) -> tuple[list[Any], int]:
    """Return the added tokens, and the largest number of one; -1 if there is none."""
    if found is None:
        return [], -1
    if not isinstance(found, list):
        _refuse("added_tokens", "is not a list")
    _count(len(found), "added_tokens", MAX_ADDED, "tokens")
    largest = -1
    for entry in found:
        token = _object(entry, "added_tokens", _ADDED)
        _token(token.get("content"), "added_tokens")
        if not token["content"]:
            _refuse("added_tokens", "has an empty token")
        largest = max(largest, _id(token.get("id"), "added_tokens"))
        _scalars({key: token[key] for key in token.keys() - {"content"}}, "added_tokens")
    return found, largest


def _steps(found: object, part: str, plural: str, allowed: Mapping[str, set[str]]) -> object:
    """Return the steps of a normalizer or a pre-tokenizer: none, one, or a sequence.

    No step may occur twice: ``ByteLevel`` turns a character into up to four, each time anew.
    """
    if found is None:
        return None
    steps = list(_flat(found, part, plural))
    _count(len(steps), part, MAX_STEPS, "steps")
    names = [_type(step, part, allowed) for step in steps]
    for name, step in zip(names, steps, strict=True):
        if name != "Split" and names.count(name) > 1:
            _refuse(part, f"has the step {name} more than once")
        members = dict(_object(step, f"{part}.{name}", {"type", *allowed[name]}))
        if name == "Split":
            _literal(members.pop("pattern", None), f"{part}.{name}.pattern")
        _scalars(members, f"{part}.{name}")
        if name == "FixedLength" and not (_is_number(members.get("length")) and members["length"]):
            _refuse(f"{part}.FixedLength.length", "is not at least 1")
    return {"type": "Sequence", plural: steps} if len(steps) != 1 else steps[0]


def _flat(found: object, part: str, plural: str, depth: int = 0) -> Iterator[object]:
    if not isinstance(found, dict) or found.get("type") != "Sequence":
        yield found
        return
    members = _object(found, part, {"type", plural})
    inner = members.get(plural)
    if not isinstance(inner, list) or depth > 2:
        _refuse(part, "has a Sequence without a list of steps, or nested too deeply")
    _count(len(inner), part, MAX_STEPS, "steps")
    for step in inner:
        yield from _flat(step, part, plural, depth + 1)


def _literal(found: object, place: str) -> None:
    """Refuse a pattern unless it is plain text."""
    match found:
        case {"String": str(text), **rest} if not rest and 1 <= len(text) <= MAX_TEXT:
            return
    _refuse(place, "is no plain text; regular expressions are not allowed")


def _post_processor(found: object) -> tuple[object, int]:
    """Return the steps after the model, and the largest number of a token that they add."""
    part = "post_processor"
    if found is None:
        return None, -1
    steps = list(_flat(found, part, "processors"))
    _count(len(steps), part, MAX_STEPS, "steps")
    names = [_type(step, part, _POST_PROCESSORS) for step in steps]
    largest = -1
    for name, step in zip(names, steps, strict=True):
        place = f"{part}.{name}"
        if names.count(name) > 1:
            _refuse(part, f"has the step {name} more than once")
        members = dict(_object(step, place, {"type", *_POST_PROCESSORS[name]}))
        if name == "TemplateProcessing":
            largest = max(largest, _template(members, place))
            continue
        for key in {"sep", "cls"} & members.keys():
            match members.pop(key):
                case [str(token), number]:
                    _token(token, place)
                    largest = max(largest, _id(number, place))
                case _:
                    _refuse(f"{place}.{key}", "is no token with its number")
        _scalars(members, place)
    return {"type": "Sequence", "processors": steps} if len(steps) != 1 else steps[0], largest


def _template(members: Json, place: str) -> int:
    """Check a template of special tokens around a text; return the largest number of one."""
    special = _object(members.get("special_tokens", {}), f"{place}.special_tokens", None)
    _count(len(special), place, MAX_STEPS, "special tokens")
    largest = -1
    for token in special.values():
        one = _object(token, f"{place}.special_tokens", {"id", "ids", "tokens"})
        ids, tokens = one.get("ids"), one.get("tokens")
        if not isinstance(ids, list) or not isinstance(tokens, list) or len(ids) != len(tokens):
            _refuse(f"{place}.special_tokens", "has a token without its numbers")
        _count(len(ids), place, MAX_STEPS, "numbers of a special token")
        _token(one.get("id"), place)
        for name in tokens:
            _token(name, place)
        largest = max(largest, *(_id(number, place) for number in ids), -1)
    for key in ("single", "pair"):
        pieces = members.get(key)
        if not isinstance(pieces, list):
            _refuse(f"{place}.{key}", "is not a list")
        _count(len(pieces), f"{place}.{key}", MAX_STEPS, "pieces")
        for piece in pieces:
            _piece(piece, special, f"{place}.{key}")
    texts = sum("Sequence" in piece for piece in members["single"])
    if texts != 1:
        _refuse(f"{place}.single", f"has {texts} places for the text, not 1")
    return largest


def _piece(piece: object, special: Json, place: str) -> None:
    match piece:
        case {"SpecialToken": {"id": str(name), "type_id": int(kind), **more}, **rest}:
            if name in special and 0 <= kind <= 1 and not rest and not more:
                return
        case {"Sequence": {"id": "A" | "B", "type_id": int(kind), **more}, **rest}:
            if 0 <= kind <= 1 and not rest and not more:
                return
    _refuse(place, "has a piece that is neither a text nor a known special token")


def _type(found: object, place: str, allowed: Mapping[str, object]) -> str:
    name = found.get("type") if isinstance(found, dict) else None
    if not isinstance(name, str) or name not in allowed:
        shown = f"type {name[:40]!r}" if isinstance(name, str) else "no type"
        _refuse(place, f"has {shown}; allowed are {', '.join(allowed)}")
    return name


def _object(found: object, place: str, members: set[str] | None) -> Json:
    """Return a JSON object; refuse members that are not expected."""
    if not isinstance(found, dict):
        _refuse(place, "is not an object")
    if members is not None and (unknown := sorted(found.keys() - members)):
        _refuse(place, f"has the unknown member {unknown[0][:40]!r}")
    return found


def _scalars(members: Json, place: str) -> None:
    """Refuse parameters that are neither switches, numbers nor short texts."""
    for name, value in members.items():
        is_short = isinstance(value, str) and len(value) <= MAX_TEXT
        is_number = isinstance(value, int | float) and 0 <= value <= MAX_ID
        if value is not None and not is_short and not is_number:
            _refuse(f"{place}.{name}", "is neither a switch, a number nor a short text")


def _token(found: object, place: str) -> None:
    if not isinstance(found, str) or len(found) > MAX_TOKEN_CHARACTERS:
        _refuse(place, f"has a token that is no text of at most {MAX_TOKEN_CHARACTERS} characters")


def _id(found: object, place: str) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= MAX_ID:
        _refuse(place, f"has a token whose number is not 0 to {MAX_ID}")
    return found


def _is_number(found: object) -> bool:
    return isinstance(found, int) and not isinstance(found, bool)


def _count(count: int, place: str, most: int, items: str) -> None:
    if count > most:
        _refuse(place, f"has {count:,} {items}; at most {most:,} are allowed")


def _refuse(place: str, reason: str) -> NoReturn:
    raise TokenizerRefused(f"{place} {reason}")
