"""Tasks of Label Studio: its JSON export, with annotations of type ``choices``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from schemas.errors import InvalidRequest
from service.teach.datasets.importing.listing import Found, Refused, safe_name, shown

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""Label Studio puts it before the name of an uploaded file."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_IMAGE_KEYS = ("image", "img", "photo", "picture", "file_upload")
Task = dict[str, Any]


def is_tasks(data: bytes) -> bool:
    """Return whether JSON is a list of tasks of Label Studio."""
    try:
        return bool(_tasks(data))
    except InvalidRequest:
        return False


def from_tasks(data: bytes, find: Callable[[str], str | None]) -> Iterator[Found | Refused]:
    """Yield the photos of tasks.

    A task whose photo is not there may have a ``digest``, as our export writes it: then the photo
    of the dataset is labelled.

    Args:
        find: return the name of a file in the container, by a path or a base name.

    Raises:
        InvalidRequest: it is no JSON, or no list of tasks.
    """
    for number, task in enumerate(_tasks(data), 1):
        content = task["data"]
        image = _image(content)
        name = shown(image or f"task {number}")
        digest = content.get("digest")
        is_known = isinstance(digest, str) and _DIGEST.fullmatch(digest) is not None
        try:
            file = None if image is None else _file(image, find)
            labels, group = _labels(task), content.get("group")
        except InvalidRequest as error:
            yield Refused(name, error)
            continue
        if file is None and not is_known:
            yield Refused(name, InvalidRequest("There is no such file beside the tasks."))
            continue
        yield Found(
            file=file,
            name=name,
            labels=labels,
            group=group if isinstance(group, str) and 0 < len(group) <= 255 else None,
            digest=cast("str", digest) if file is None else None,
        )


def _tasks(data: bytes) -> list[Task]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidRequest("The tasks are not JSON.") from None
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and isinstance(one.get("data"), dict) for one in found
    ):
        message = "The tasks are no list of Label Studio: each has a member data."
        raise InvalidRequest(message)
    return found


def _image(content: dict[str, Any]) -> str | None:
    """Return the address of a task's image."""
    for key in _IMAGE_KEYS:
        if isinstance(content.get(key), str):
            return cast("str", content[key])
    return next((one for one in content.values() if isinstance(one, str) and "/" in one), None)


def _file(image: str, find: Callable[[str], str | None]) -> str | None:
    """Return the file of an image: a path, an URL, or a local file of Label Studio (``?d=``)."""
    address = urlsplit(image)
    local = parse_qs(address.query).get("d")
    path = local[0] if local else unquote(address.path)
    name = safe_name(path.lstrip("/"))
    base = name.rsplit("/", 1)[-1]
    for one in (name, base, _UPLOAD_PREFIX.sub("", base)):
        if (found := find(one)) is not None:
            return found
    return None


def _labels(task: Task) -> tuple[str, ...] | None:
    """Return the choices of the last annotation that was not cancelled; None: there is none.

    Raises:
        InvalidRequest: its results are no choices.
    """
    annotations = task.get("annotations") or task.get("completions") or []
    if not isinstance(annotations, list):
        raise InvalidRequest("The annotations of the task are no list.")
    done = [one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled")]
    if not done:
        return None
    results = done[-1].get("result") or []
    choices: list[str] = []
    for result in results if isinstance(results, list) else []:
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
            raise InvalidRequest("The annotation is no choice of a class.")
        choices += [str(one) for one in value["choices"]]
    return tuple(choices)
