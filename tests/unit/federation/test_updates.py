"""Files of sums: read as written, and refused by name if no photos can have given them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import UpdateRefused
from schemas.federation import UpdateFault
from service.federation.arithmetic.names import NameRules
from service.federation.checking import Expected, check
from service.federation.computing import site_sums
from service.federation.wire import MAGIC, SiteSums, decode, encode
from service.teach.heads.sums import Sums
from tests.unit.federation.support import BASE, CLASSES, WIDTH, photos, sent

EXPECTED = Expected(
    site="a", base=BASE, rules=NameRules((), {}, "keep"), min_photos=10, min_class_photos=3
)
ALL = np.arange(200)


def made() -> SiteSums:
    given = photos(200)
    return site_sums(given.features_ND, given.labels_N, CLASSES, BASE, site="a", sequence=1)


def with_sums(change: Callable[[Sums], Sums]) -> SiteSums:
    good = made()
    return SiteSums(good.header, change(good.sums))


def signed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def fault(data: bytes, expected: Expected = EXPECTED) -> str:
    with pytest.raises(UpdateRefused) as refused:
        check(decode(data), expected)
    assert refused.value.violations[0].detail.startswith(f"{refused.value.fault}: ")
    return refused.value.fault


def test_sums_are_read_as_they_were_written() -> None:
    good = made()
    read = decode(encode(good))
    assert read.header == good.header
    assert read.sums.photos == good.sums.photos
    assert np.allclose(read.sums.xx_DD, good.sums.xx_DD, rtol=1e-6, atol=1e-4)
    assert np.array_equal(read.sums.xy_KD, good.sums.xy_KD)
    check(read, EXPECTED)


def test_a_site_of_imagenet_features_sends_less_than_4_megabytes() -> None:
    dice = np.random.default_rng(0)
    features_ND = dice.normal(size=(60, 1280)).astype(np.float32)
    base = BASE.model_copy(update={"width": 1280})
    names = [f"class {number}" for number in range(20)]
    labels_N = np.arange(60) % 20
    site = site_sums(features_ND, labels_N, names, base, site="a", sequence=1)
    data = encode(site)
    assert len(data) < 4_000_000
    check(decode(data), replace(EXPECTED, base=base))


def test_a_site_of_one_class_is_taken() -> None:
    given = photos(200)
    check(sent(given, np.flatnonzero(given.labels_N == 2)), EXPECTED)


@pytest.mark.parametrize("cut", [0, 5, 12, 100, 1000])
def test_a_cut_file_is_refused(cut: int) -> None:
    assert fault(encode(made())[:cut]) in {UpdateFault.MALFORMED, UpdateFault.CHECKSUM}


def test_a_changed_byte_is_refused() -> None:
    data = bytearray(encode(made()))
    data[len(data) // 2] ^= 1
    assert fault(bytes(data)) == UpdateFault.CHECKSUM


@pytest.mark.parametrize("length", [0, 3, 10**6, 2**32 - 1])
def test_a_false_length_of_the_header_is_refused(length: int) -> None:
    body = encode(made())[:-32]
    changed = MAGIC + struct.pack("<I", length) + body[12:]
    assert fault(signed(changed)) == UpdateFault.MALFORMED


def test_numbers_of_another_length_are_refused() -> None:
    body = encode(made())[:-32]
    assert fault(signed(body + bytes(4))) == UpdateFault.WRONG_SHAPE
    assert fault(signed(body[:-4])) == UpdateFault.WRONG_SHAPE


def test_more_counts_than_classes_are_refused() -> None:
    good = made()
    header = good.header.model_copy(update={"counts": [50, 50, 50, 50, 50]})
    assert fault(encode(SiteSums(header, good.sums))) == UpdateFault.WRONG_SHAPE


def test_a_width_that_no_memory_holds_is_refused() -> None:
    good = made()
    wide = BASE.model_copy(update={"width": 10**9})
    header = good.header.model_copy(update={"base": wide})
    assert fault(encode(SiteSums(header, good.sums))) == UpdateFault.WRONG_SHAPE


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["xy_KD", "xx_DD", "x_D"])
def test_numbers_that_are_not_finite_are_refused(part: str, number: float) -> None:
    def change(sums: Sums) -> Sums:
        array = getattr(sums, part).copy()
        array.flat[0] = number
        return replace(sums, **{part: array})

    with np.errstate(invalid="ignore"):
        assert fault(encode(with_sums(change))) == UpdateFault.NOT_FINITE


def test_enormous_numbers_are_refused() -> None:
    large = with_sums(
        lambda s: Sums(s.photos, s.counts_K, s.x_D * 1e6, s.xx_DD * 1e12, s.xy_KD * 1e6)
    )
    assert fault(encode(large)) == UpdateFault.TOO_LARGE


def test_a_matrix_that_is_not_positive_is_refused() -> None:
    def change(sums: Sums) -> Sums:
        return replace(sums, xx_DD=sums.xx_DD - 0.5 * sums.xx_DD.trace() / WIDTH * np.eye(WIDTH))

    assert fault(encode(with_sums(change))) == UpdateFault.NOT_POSITIVE


def test_less_scatter_than_between_classes_is_refused() -> None:
    def change(sums: Sums) -> Sums:
        mean_D = sums.x_D / sums.photos
        return replace(sums, xx_DD=sums.photos * np.outer(mean_D, mean_D) + 1e-6 * np.eye(WIDTH))

    assert fault(encode(with_sums(change))) == UpdateFault.NOT_POSITIVE


def test_sums_of_classes_beside_those_of_all_are_refused() -> None:
    def change(sums: Sums) -> Sums:
        xy_KD = sums.xy_KD.copy()
        xy_KD[0] *= 1.5
        return replace(sums, xy_KD=xy_KD)

    assert fault(encode(with_sums(change))) == UpdateFault.INCONSISTENT


def test_other_counts_than_those_of_the_sums_are_refused() -> None:
    good = made()
    counts = list(reversed(good.header.counts))
    counts[0] += 100
    header = good.header.model_copy(update={"counts": counts})
    assert fault(encode(SiteSums(header, good.sums))) in {
        UpdateFault.INCONSISTENT,
        UpdateFault.NOT_POSITIVE,
    }


def test_few_photos_are_refused() -> None:
    given = photos(200)
    few = site_sums(given.features_ND[:9], given.labels_N[:9], CLASSES, BASE, site="a", sequence=1)
    assert fault(encode(few)) == UpdateFault.TOO_FEW
    one = np.concatenate([np.flatnonzero(given.labels_N == 0), np.flatnonzero(given.labels_N)[:1]])
    lone = site_sums(
        given.features_ND[one], given.labels_N[one], CLASSES, BASE, site="a", sequence=1
    )
    assert fault(encode(lone)) == UpdateFault.TOO_FEW


@pytest.mark.parametrize("part", ["sha256", "tensor", "version", "features"])
def test_sums_of_another_base_are_refused(part: str) -> None:
    other = BASE.model_copy(update={part: 2 if part == "version" else "other"})
    assert fault(encode(made()), replace(EXPECTED, base=other)) == UpdateFault.WRONG_BASE


def test_sums_of_another_site_are_refused() -> None:
    assert fault(encode(made()), replace(EXPECTED, site="b")) == UpdateFault.WRONG_SITE


def test_names_that_were_not_agreed_are_refused() -> None:
    agreed = NameRules(("glass", "metal", "paper"), {}, "keep")
    assert fault(encode(made()), replace(EXPECTED, rules=agreed)) == UpdateFault.CLASSES
    merged = NameRules((), {"Metal": "glass"}, "keep")
    assert fault(encode(made()), replace(EXPECTED, rules=merged)) == UpdateFault.CLASSES
