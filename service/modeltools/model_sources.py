"""Where a model may be pulled from: an https URL, the Hugging Face hub, or a catalogue's entry."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from schemas.models import Sha256
from schemas.operator_error import OperatorError, first_fault

HUB = "https://huggingface.co"
HUB_VARIABLE = "HF_ENDPOINT"
"""The hub's own name for the address of a mirror."""

CATALOGUE_FILE = "catalogue.json"
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_HUB_SOURCE = re.compile(
    r"hf://(?P<org>[\w.-]+)/(?P<repo>[\w.-]+)/(?P<path>[^@]+?)(?:@(?P<revision>[\w./-]+))?"
)


class CannotPull(OperatorError):
    """There is no such source, or what came from it is not what it should be."""


class CatalogueEntry(BaseModel):
    """A model that somebody vouches for: its file, its digest, and how it wants its pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    sha256: Sha256
    like: str | None = None
    labels_url: str | None = None
    labels_sha256: Sha256 | None = None
    description: str = ""
    licence: str = ""


_CATALOGUE: TypeAdapter[dict[str, CatalogueEntry]] = TypeAdapter(dict[str, CatalogueEntry])


def find_source(source: str, catalogue: Path) -> CatalogueEntry | str:
    """The catalogue's entry of that name, or the URL that ``source`` stands for.

    Raises:
        CannotPull: it is neither.
    """
    if "://" in source:
        return url_of(source)
    try:
        entries = _CATALOGUE.validate_json(catalogue.read_bytes())
    except FileNotFoundError:
        message = f"'{source}' is no URL, and there is no catalogue {catalogue} to look it up in"
        raise CannotPull(message) from None
    except ValidationError as error:
        raise CannotPull(f"{catalogue}: {first_fault(error, 'it')}") from error
    if source not in entries:
        known = ", ".join(sorted(entries)) or "nothing"
        raise CannotPull(f"{catalogue} does not have '{source}', but {known}")
    return entries[source]


def url_of(source: str, environment: Mapping[str, str] = os.environ) -> str:
    """The URL to fetch, which is https, or leads to this very machine.

    Raises:
        CannotPull: anything else.
    """
    if source.startswith("hf://"):
        found = _HUB_SOURCE.fullmatch(source)
        if found is None:
            message = f"'{source}' is not hf://ORG/REPOSITORY/PATH or .../PATH@REVISION"
            raise CannotPull(message)
        hub = environment.get(HUB_VARIABLE) or HUB
        path, revision = quote(found["path"]), quote(found["revision"] or "main", safe="")
        source = f"{hub.rstrip('/')}/{found['org']}/{found['repo']}/resolve/{revision}/{path}"
    try:
        parts = urlsplit(source)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        has_host = bool(parts.hostname)
    except ValueError:
        is_safe = has_host = False
    if not is_safe or not has_host:
        message = f"'{source}' cannot be pulled from: only https:// and hf:// can"
        raise CannotPull(message)
    return source
