"""Traces of load over time, in multiples of one replica's maximum, so that one fits every model.

Every trace begins with a load that two replicas carry at ease. Arrivals are Poisson with a rate
that changes each second; the same seed gives the same arrivals to every policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Shape = Callable[[Floats, np.random.Generator], Floats]
"""Function from seconds to load."""

HOT = "hot camera"
CAMERAS = tuple(f"camera {number}" for number in range(40))
MINUTE = 60.0
BASE = 0.9


@dataclass(frozen=True, slots=True)
class Trace:
    """Load over a number of seconds.

    Attributes:
        shape: load of all cameras.
        hot: additional load of one owner.
        large: share of phones' photos, which cost more.
    """

    name: str
    seconds: float
    shape: Shape
    hot: Shape | None = None
    large: Shape | None = None


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Arrivals: sorted times in seconds, owners, and whether each is a large photo.

    ``rates``: requests a second, for each second.
    """

    times: list[float]
    owners: list[str]
    large: list[bool]
    rates: Floats


def _ramp(at: Floats, _: np.random.Generator) -> Floats:
    """Rise to six replicas' worth within six minutes, and fall again in six."""
    return np.interp(at / MINUTE, [0, 2, 8, 10, 16], [BASE, BASE, 6, 6, BASE])


def _spike(at: Floats, _: np.random.Generator) -> Floats:
    """Rise eightfold within five seconds, for four minutes."""
    return np.interp(at / MINUTE, [0, 2, 2.08, 6, 6.08], [0.75, 0.75, 6, 6, 0.75])


def _diurnal(at: Floats, random: np.random.Generator) -> Floats:
    """Compress a day into twenty minutes: two peaks, and noise that lasts about ten seconds."""
    hours = 24 * at / (20 * MINUTE)
    day = np.interp(hours, [0, 5, 9, 12, 14, 18, 22, 24], [1, 0.8, 4, 5, 4, 5.5, 2, 1])
    steps = random.normal(0, 0.12, len(at) // 10 + 2)
    noise = np.interp(at, 10 * np.arange(len(steps)), steps)
    return np.maximum(0.2, day * (1 + noise))


def _crowd(at: Floats, _: np.random.Generator) -> Floats:
    """Simulate a flash crowd: full within twenty seconds, with a half-life of two minutes."""
    grown = np.clip((at - 2 * MINUTE) / 20, 0, 1)
    left = 0.5 ** (np.maximum(0, at - 2 * MINUTE - 20) / (2 * MINUTE))
    return BASE + 5 * grown * left


def _steady(at: Floats, _: np.random.Generator) -> Floats:
    return np.full_like(at, 1.2)


def _flood(at: Floats, _: np.random.Generator) -> Floats:
    """Add three replicas' worth from one camera, for four minutes."""
    return np.interp(at / MINUTE, [0, 2, 2.05, 6, 6.05], [0.0, 0, 3, 3, 0])


def _new_phones(at: Floats, _: np.random.Generator) -> Floats:
    """Rise from 0 to a third of all photos within a minute."""
    return np.interp(at / MINUTE, [0, 2, 3, 8, 9], [0.0, 0, 1 / 3, 1 / 3, 0])


TRACES = (
    Trace("ramp", 18 * MINUTE, _ramp),
    Trace("spike", 14 * MINUTE, _spike),
    Trace("diurnal", 20 * MINUTE, _diurnal),
    Trace("hot camera", 14 * MINUTE, _steady, _flood),
    Trace("flash crowd", 14 * MINUTE, _crowd),
    Trace("larger photos", 16 * MINUTE, _steady, large=_new_phones),
)


def draw(trace: Trace, per_second: float, seed: int, shorten: float = 1.0) -> Arrivals:
    """Draw arrivals for replicas that do ``per_second`` at most, ``shorten`` times as fast."""
    random = np.random.default_rng([seed, *trace.name.encode()])
    at = np.arange(0, trace.seconds, shorten)
    usual = trace.shape(at, random) * per_second
    hot = trace.hot(at, random) * per_second if trace.hot else np.zeros_like(usual)
    everybody, one = _arrivals(usual, random), _arrivals(hot, random)
    times = np.concatenate([everybody, one])
    cameras = random.integers(0, len(CAMERAS), len(everybody))
    whose = np.concatenate([cameras, np.full(len(one), len(CAMERAS))])
    order = np.argsort(times, kind="stable")
    shares = trace.large(at, random) if trace.large else np.zeros_like(usual)
    large = random.random(len(times)) < shares[times[order].astype(int)]
    known = (*CAMERAS, HOT)
    owners = [known[number] for number in whose[order]]
    return Arrivals(times[order].tolist(), owners, large.tolist(), usual + hot)


def _arrivals(rates: Floats, random: np.random.Generator) -> Floats:
    """Draw sorted arrival times, Poisson in each second."""
    counts = random.poisson(rates)
    seconds = np.repeat(np.arange(len(rates), dtype=np.float64), counts)
    return np.sort(seconds + random.random(len(seconds)))
