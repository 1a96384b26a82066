"""The exchange of sums: made and checked as sites and the server do it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.teach.labelled import Labelled
from schemas.federation import FederationBase, SiteHarm
from service.federation.arithmetic.harm import harm, main_directions, total
from service.federation.arithmetic.names import NameRules, aligned
from service.federation.arithmetic.solving import Solved, projected, solve
from service.federation.checking import Expected, check
from service.federation.computing import site_sums
from service.federation.wire import decode, encode
from service.teach.heads.sums import Sums

RULES = NameRules((), {}, "keep")


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """What came of the sums of all sites. ``bytes``, ``site_seconds``: of the largest site."""

    solved: Solved
    sites: dict[str, Sums]
    bytes: int
    site_seconds: float
    check_seconds: float
    solve_seconds: float
    judge_seconds: float
    harmful: tuple[str, ...]
    changes: tuple[float | None, ...]


def exchange(data: Labelled, rows: Sequence[NDArray[np.int_]]) -> Exchange:
    """Make the sums of sites that have some rows each; check, add, solve and judge them."""
    width = data.features_NVD.shape[2]
    base = FederationBase(
        name="base", version=1, sha256="0" * 64, tensor="t", width=width, features="0" * 64
    )
    files: dict[str, bytes] = {}
    site_seconds: list[float] = []
    for number, own in enumerate(rows):
        began, name = time.perf_counter(), f"s{number}"
        made = site_sums(
            data.features_NVD[own, 0],
            data.labels_N[own],
            data.classes,
            base,
            site=name,
            sequence=1,
        )
        files[name] = encode(made)
        site_seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    sites: dict[str, Sums] = {}
    for name, file in files.items():
        given = decode(file)
        check(given, Expected(name, base, RULES, 1, 1))
        sums = aligned(RULES, data.classes, given.header.classes, given.sums)
        if sums is not None:
            sites[name] = sums
    check_seconds = time.perf_counter() - began
    began = time.perf_counter()
    whole = total(list(sites.values()))
    solved = solve(whole)
    solve_seconds = time.perf_counter() - began
    began = time.perf_counter()
    found = _judged(whole, sites, solved.strength)
    return Exchange(
        solved=solved,
        sites=sites,
        bytes=max(map(len, files.values())),
        site_seconds=max(site_seconds),
        check_seconds=check_seconds,
        solve_seconds=solve_seconds,
        judge_seconds=time.perf_counter() - began,
        harmful=tuple(one.site for one in found if one.is_harmful),
        changes=tuple(one.change for one in found),
    )


def accuracy(solved: Solved, data: Labelled) -> float:
    """Return the share of photos that a head answers right."""
    logits_NK = data.features_NVD[:, 0] @ solved.weight_KD.T + solved.bias_K
    return float((logits_NK.argmax(axis=1) == data.labels_N).mean())


def _judged(whole: Sums, sites: dict[str, Sums], strength: float) -> list[SiteHarm]:
    directions_DR = main_directions(whole)
    compared = sites
    if directions_DR is not None:
        compared = {name: projected(one, directions_DR) for name, one in sites.items()}
    return harm(compared, strength)
