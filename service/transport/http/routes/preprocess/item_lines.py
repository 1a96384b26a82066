"""Lines of a call of many items: an item in, its result or its error out. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson
from pydantic import ValidationError

from observability.metrics.preprocess_metrics import KINDS, Kind
from schemas.errors import (
    InvalidImage,
    InvalidParameter,
    InvalidRequest,
    PayloadTooLarge,
    ServiceError,
    Violation,
)
from schemas.preprocess.items import ItemHead
from schemas.preprocess.text import PrepareTextOptions
from service.transport.http.body.base64_text import decoded
from service.transport.http.middleware.errors import STATUS, problem_of, violations_of

Id = str | int | None


@dataclass(slots=True)
class Item:
    """An item as it was sent.

    Attributes:
        value: of its kind's member.
    """

    head: ItemHead
    kind: Kind
    value: object


@dataclass(slots=True)
class ParsedLine:
    """The members of a line; ``id`` is known even if the item is invalid."""

    id: Id = None
    members: dict[str, object] = field(default_factory=dict)


def parse(line: bytes) -> ParsedLine:
    """Parse a line.

    Raises:
        InvalidRequest: it is no JSON object.
    """
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise InvalidRequest("The line is not JSON in UTF-8.") from None
    if not isinstance(members, dict):
        raise InvalidRequest("The line is not a JSON object.")
    try:
        head = ItemHead.model_validate({"id": members.get("id")})
    except ValidationError:
        return ParsedLine(None, members)
    return ParsedLine(head.id, members)


def item_of(line: ParsedLine) -> Item:
    """Return the item of a line, and take it out of the line.

    Raises:
        InvalidParameter: members are missing, unknown or invalid.
    """
    members = line.members
    given = [kind for kind in KINDS if kind in members]
    if len(given) != 1:
        fault = Violation("", f"Give one of {', '.join(KINDS)}")
        raise InvalidParameter(fault.detail + ".", violations=(fault,))
    (kind,) = given
    value = members.pop(kind)
    try:
        return Item(ItemHead.model_validate(members), kind, value)
    except ValidationError as error:
        raise InvalidParameter(violations=violations_of(error)) from None


def image_of(value: object, limit: int) -> bytes:
    """Return the encoded image of an item; ``limit``: its bytes.

    Raises:
        InvalidParameter: it is not base64.
        InvalidImage: it has no bytes.
        PayloadTooLarge: it has too many.
    """
    if not isinstance(value, str):
        raise InvalidParameter(violations=(Violation("/image", "Input should be a string"),))
    try:
        image = decoded(value)
    except ValueError as error:
        raise InvalidParameter(violations=(Violation("/image", str(error)),)) from None
    if not image:
        raise InvalidImage("The image has no bytes.")
    if len(image) > limit:
        raise PayloadTooLarge(
            f"The image is larger than the {limit / 2**20:.3g} MiB that are taken."
        )
    return image


def text_of(value: object) -> tuple[str, PrepareTextOptions]:
    """Return the text of an item and its options: a text alone, or ``{"text": ..., ...}``.

    Raises:
        InvalidParameter: there is no text, or an option is invalid.
    """
    given = value if isinstance(value, dict) else {"text": value}
    options = {name: option for name, option in given.items() if name != "text"}
    if not isinstance(text := given.get("text"), str):
        raise InvalidParameter(violations=(Violation("/text", "Input should be a string"),))
    if of_item := sorted({"model", "version", "timeout_ms", "priority"} & options.keys()):
        fault = Violation(f"/text/{of_item[0]}", "This belongs to the item or the call")
        raise InvalidParameter(violations=(fault,))
    try:
        return text, PrepareTextOptions.model_validate(options)
    except ValidationError as error:
        raise InvalidParameter(violations=violations_of(error, "/text")) from None


def result_line(item_id: Id, result: dict[str, object]) -> bytes:
    """Return the line of an item's result, which may hold NumPy arrays."""
    return _line({"id": item_id, "result": result})


def error_line(item_id: Id, error: ServiceError) -> bytes:
    """Return the line of an item's error, with the members of a problem that concern an item."""
    problem = problem_of(error, "")
    document: dict[str, object] = {
        "status": STATUS[error.code],
        "code": problem.code,
        "detail": problem.detail,
    }
    if error.violations:
        document["errors"] = [fault._asdict() for fault in error.violations]
    return _line({"id": item_id, "error": document})


def _line(document: dict[str, object]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
