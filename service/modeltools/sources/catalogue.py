"""Models that can be pulled by name: the shipped catalogue, and the operator's own.

``catalogue.json`` beside this names nine models of github.com/onnx/models, each at one commit and
with its digest, so that the server of the file need not be trusted.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from schemas.models import Sha256
from schemas.operator_error import first_fault
from service.modeltools.sources.model_sources import CannotPull, url_of

CATALOGUE_FILE = "catalogue.json"


class CatalogueEntry(BaseModel):
    """A catalogued model: its file, digest and preprocessing.

    ``bytes``: the size of the file; any other size is refused before the download. ``like``: a
    preset. ``labels``: "imagenet" for the thousand classes whose names come with Potoo. ``input``
    and ``description`` are for people.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    sha256: Sha256
    bytes: PositiveInt | None = None
    like: str | None = None
    labels: Literal["imagenet"] | None = None
    labels_url: str | None = None
    labels_sha256: Sha256 | None = None
    input: str = ""
    description: str = ""
    licence: str = ""

    @model_validator(mode="after")
    def _has_one_kind_of_labels(self) -> Self:
        if self.labels is not None and self.labels_url is not None:
            message = "labels and labels_url exclude each other"
            raise ValueError(message)
        return self


_CATALOGUE: TypeAdapter[dict[str, CatalogueEntry]] = TypeAdapter(dict[str, CatalogueEntry])


def shipped() -> dict[str, CatalogueEntry]:
    """Read the shipped catalogue."""
    return _CATALOGUE.validate_json(files(__package__).joinpath(CATALOGUE_FILE).read_bytes())


def read_catalogue(file: Path, *, may_be_missing: bool = False) -> dict[str, CatalogueEntry]:
    """Read an operator's own catalogue.

    Raises:
        CannotPull: the file is missing or cannot be read; the message names the field.
    """
    try:
        return _CATALOGUE.validate_json(file.read_bytes())
    except FileNotFoundError:
        if may_be_missing:
            return {}
        raise CannotPull(f"there is no catalogue {file}") from None
    except OSError as error:
        raise CannotPull(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise CannotPull(f"{file}: {first_fault(error, 'it')}") from error


def find_entry(
    name: str, own: Mapping[str, CatalogueEntry], mirror: str | None
) -> tuple[CatalogueEntry, str]:
    """Return the entry of that name, the operator's own first, and the URL of its file.

    Args:
        mirror: base address for shipped entries; None for the original URL.

    Raises:
        CannotPull: the name is unknown, or its URL is not safe.
    """
    if name in own:
        return own[name], url_of(own[name].url)
    known = shipped()
    if name not in known:
        close = difflib.get_close_matches(name, [*own, *known], 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        message = f"'{name}' is no URL and in no catalogue{hint}: see 'potoo models catalogue'"
        raise CannotPull(message)
    entry = known[name]
    return entry, entry.url if mirror is None else mirrored(entry.url, mirror)


def mirrored(url: str, mirror: str) -> str:
    """Return the URL's path below ``mirror``, the layout that ``wget -x -nH`` stores.

    Raises:
        CannotPull: the mirror is neither https nor on this machine.
    """
    return url_of(f"{mirror.rstrip('/')}{urlsplit(url).path}")
