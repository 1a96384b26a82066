"""The file of a site's sums: ``.sums``.

::

    8 bytes   POTOSUM1
    4 bytes   length of the header, little-endian
    header    JSON: a ``SumsHeader``
    numbers   little-endian: mean float64 [D], sums of each class float64 [K, D], and the upper
              triangle, row after row, of the products around the mean, float32 [D (D + 1) / 2]
    32 bytes  SHA-256 of all before

Products around the mean, since the mean of features is far larger than what tells classes apart:
float32 keeps them to a ten-millionth of the largest, at half the bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import UpdateRefused
from schemas.federation import MAX_SEQUENCE, FederationBase, HeldOut, SiteName, UpdateFault
from schemas.teach.dataset import MAX_CLASSES, ClassName
from service.teach.heads.arrays import Numbers
from service.teach.heads.sums import Sums

MAGIC = b"POTOSUM1"
MAX_HEADER_BYTES = 512 * 1024
MAX_WIDTH = 16_384
_LENGTH = struct.Struct("<I")
_DIGEST_BYTES = 32
Count = Annotated[int, Field(ge=0, le=2**40)]


class SumsHeader(BaseModel):
    """What the numbers are of.

    ``sequence``: higher than that of the site's last file. ``counts``: photos of each class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    site: SiteName
    sequence: int = Field(ge=1, le=MAX_SEQUENCE)
    base: FederationBase
    classes: list[ClassName] = Field(min_length=1, max_length=MAX_CLASSES)
    counts: list[Count] = Field(max_length=MAX_CLASSES)
    held_out: HeldOut | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SiteSums:
    """Sums of a site's photos, each with exactly one label."""

    header: SumsHeader
    sums: Sums


def encode(site: SiteSums) -> bytes:
    """Return the file of sums."""
    sums, header = site.sums, site.header.model_dump_json().encode()
    width = len(sums.x_D)
    mean_D = sums.x_D / max(sums.photos, 1.0)
    products_DD = sums.xx_DD - sums.photos * np.outer(mean_D, mean_D)
    body = b"".join(
        (
            MAGIC,
            _LENGTH.pack(len(header)),
            header,
            mean_D.astype("<f8").tobytes(),
            sums.xy_KD.astype("<f8").tobytes(),
            products_DD[np.triu_indices(width)].astype("<f4").tobytes(),
        )
    )
    return body + hashlib.sha256(body).digest()


def decode(data: bytes) -> SiteSums:
    """Read a file of sums; sizes that it claims are compared with what is there first.

    Raises:
        UpdateRefused: it is not in the format, or damaged.
    """
    start = len(MAGIC) + _LENGTH.size
    if len(data) < start + _DIGEST_BYTES or not data.startswith(MAGIC):
        message = "This is no file of sums: make it with 'potoo sites sums'."
        raise UpdateRefused(UpdateFault.MALFORMED, message)
    body, digest = memoryview(data)[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if not hmac.compare_digest(hashlib.sha256(body).digest(), digest):
        message = "The file is damaged or cut short: its checksum is wrong."
        raise UpdateRefused(UpdateFault.CHECKSUM, message)
    (length,) = _LENGTH.unpack_from(body, len(MAGIC))
    if length > min(MAX_HEADER_BYTES, len(body) - start):
        message = "The header is longer than the file, or than headers may be."
        raise UpdateRefused(UpdateFault.MALFORMED, message)
    header = _header(bytes(body[start : start + length]))
    return SiteSums(header, _numbers(header, body[start + length :]))


def _header(text: bytes) -> SumsHeader:
    try:
        header = SumsHeader.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        message = f"The header is not valid: {place}: {first['msg']}."
        raise UpdateRefused(UpdateFault.MALFORMED, message, "/header") from None
    if len(header.counts) != len(header.classes):
        message = f"There are {len(header.counts)} counts for {len(header.classes)} classes."
        raise UpdateRefused(UpdateFault.WRONG_SHAPE, message, "/header/counts")
    if header.base.width > MAX_WIDTH:
        message = f"A photo has at most {MAX_WIDTH} features, not {header.base.width}."
        raise UpdateRefused(UpdateFault.WRONG_SHAPE, message, "/header/base/width")
    return header


def _numbers(header: SumsHeader, numbers: memoryview) -> Sums:
    width, classes = header.base.width, len(header.classes)
    above = width * (width + 1) // 2
    expected = 8 * width * (1 + classes) + 4 * above
    if len(numbers) != expected:
        message = (
            f"{width} features and {classes} classes make {expected} bytes of numbers, "
            f"not {len(numbers)}."
        )
        raise UpdateRefused(UpdateFault.WRONG_SHAPE, message, "/numbers")
    doubles = np.frombuffer(numbers, "<f8", width * (1 + classes)).astype(np.float64)
    upper = np.frombuffer(numbers, "<f4", above, offset=8 * width * (1 + classes))
    if not (np.isfinite(doubles).all() and np.isfinite(upper).all()):
        raise UpdateRefused(UpdateFault.NOT_FINITE, "A number is not finite.", "/numbers")
    counts_K = np.array(header.counts, np.float64)
    photos, mean_D = float(counts_K.sum()), doubles[:width]
    with np.errstate(over="ignore"):
        products_DD = _whole(upper, width) + photos * np.outer(mean_D, mean_D)
    xy_KD = doubles[width:].reshape(classes, width)
    return Sums(photos, counts_K, photos * mean_D, products_DD, xy_KD)


def _whole(upper: NDArray[np.float32], width: int) -> Numbers:
    """Return the symmetric matrix of an upper triangle."""
    matrix_DD = np.zeros((width, width))
    rows, columns = np.triu_indices(width)
    matrix_DD[rows, columns] = upper
    matrix_DD[columns, rows] = upper
    return matrix_DD
