"""Windows depend on the samples, not on how messages cut them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.sensors import MAX_SEQUENCE, GapPolicy, SensorFault
from service.sensors.windows.samples import Cut, Samples, Window
from service.sensors.windows.stream import SampleStream

NOW = 1_700_000_000.0


def samples_of(first: int, end: int, channels: int = 2) -> NDArray[np.float32]:
    """Return samples whose numbers tell their sequence and channel."""
    rows = np.arange(first, end, dtype=np.float32)[:, np.newaxis]
    return np.ascontiguousarray(rows * 10 + np.arange(channels, dtype=np.float32))


def cut_of(
    length: int,
    stride: int,
    gap: GapPolicy = "drop",
    fill: int = 0,
    late_after: float | None = None,
) -> Cut:
    return Cut(2, length, stride, 100.0, gap, fill, late_after)


def feed(stream: SampleStream, spans: Iterable[tuple[int, int]]) -> list[Window]:
    found: list[Window] = []
    for first, end in spans:
        found += stream.feed(Samples(first, samples_of(first, end)), arrived=1.0, now=NOW)
    return found


def spans_of(cuts: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(cuts))


def faults_of(stream: SampleStream) -> Counter[SensorFault]:
    counts: Counter[SensorFault] = Counter()
    for found in stream.faults:
        counts[found.fault] += found.times
    return counts


def check_values(windows: Sequence[Window], length: int) -> None:
    for window in windows:
        np.testing.assert_array_equal(
            window.values, samples_of(window.first, window.first + length)
        )
        assert window.values.flags.c_contiguous


@pytest.mark.parametrize(("length", "stride"), [(4, 4), (4, 1), (4, 3), (3, 5), (1, 1), (1, 3)])
def test_every_split_gives_the_same_windows(length: int, stride: int) -> None:
    total = 11
    firsts = list(range(0, total - length + 1, stride))
    for mask in range(2 ** (total - 1)):
        cuts = [0, *(at for at in range(1, total) if mask >> (at - 1) & 1), total]
        stream = SampleStream(cut_of(length, stride), start=0)
        windows = feed(stream, spans_of(cuts))
        assert [window.first for window in windows] == firsts
        check_values(windows, length)
        assert stream.held_rows < length


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 60),
    st.lists(st.integers(0, 400), max_size=12),
    st.integers(0, 90),
)
def test_splits_repeats_and_a_late_start(
    length: int, stride: int, cuts: list[int], start: int
) -> None:
    """Messages that overlap each other and reach below the start change nothing."""
    stream = SampleStream(cut_of(length, stride), start=start)
    windows: list[Window] = []
    end = start
    for at in sorted({*cuts, 400}):
        first = max(0, end - at % 7)
        if at > end:
            windows += feed(stream, [(first, at)])
            end = at
    begin = -(-start // stride) * stride
    assert [window.first for window in windows] == list(range(begin, end - length + 1, stride))
    check_values(windows, length)


def test_windows_keep_their_values_while_more_samples_arrive() -> None:
    stream = SampleStream(cut_of(5, 2), start=0)
    windows = feed(stream, [(at, at + 3) for at in range(0, 3000, 3)])
    assert len(windows) == (3000 - 5) // 2 + 1
    check_values(windows, 5)


def test_a_message_of_whole_windows_is_not_copied() -> None:
    values = samples_of(0, 12)
    values.setflags(write=False)
    stream = SampleStream(cut_of(4, 4), start=0)
    windows = stream.feed(Samples(0, values), arrived=0, now=NOW)
    assert all(np.shares_memory(window.values, values) for window in windows)
    assert len(windows) == 3


def test_repeats_are_trimmed_and_counted() -> None:
    stream = SampleStream(cut_of(4, 4), start=0)
    feed(stream, [(0, 6), (2, 6), (0, 3), (4, 8)])
    assert faults_of(stream) == {SensorFault.DUPLICATE: 4 + 3 + 2}
    assert (stream.next, stream.open, stream.samples) == (8, 8, 8)


def test_a_sequence_that_goes_back_is_a_repeat() -> None:
    stream = SampleStream(cut_of(4, 4), start=0)
    feed(stream, [(0, 100)])
    assert feed(stream, [(0, 50)]) == []
    assert stream.next == 100


def test_a_gap_drops_the_windows_that_it_is_in() -> None:
    stream = SampleStream(cut_of(4, 2), start=0)
    windows = feed(stream, [(0, 7), (9, 20)])
    assert [window.first for window in windows] == [0, 2, 10, 12, 14, 16]
    check_values(windows, 4)
    assert stream.breaks == [(7, 2)]
    assert faults_of(stream) == {SensorFault.GAP: 3}  # 4, 6 and 8


def test_a_gap_between_windows_drops_none() -> None:
    stream = SampleStream(cut_of(2, 10), start=0)
    windows = feed(stream, [(0, 5), (7, 12)])
    assert [window.first for window in windows] == [0, 10]
    assert not faults_of(stream)
    assert stream.breaks == [(5, 2)]


def test_a_gap_of_the_largest_size_costs_nothing() -> None:
    stream = SampleStream(cut_of(4, 4, "hold", 4), start=0)
    feed(stream, [(0, 6)])
    values = samples_of(0, 8)
    first = MAX_SEQUENCE // 4 * 4 - 8
    windows = stream.feed(Samples(first, values), arrived=0, now=NOW)
    assert [window.first for window in windows] == [first, first + 4]


def test_hold_repeats_the_last_sample() -> None:
    stream = SampleStream(cut_of(4, 4, "hold", 3), start=0)
    windows = feed(stream, [(0, 6), (8, 12)])
    assert [(window.first, window.filled) for window in windows] == [(0, 0), (4, 2), (8, 0)]
    np.testing.assert_array_equal(windows[1].values[:, 0], [40, 50, 50, 50])


def test_interpolation_is_linear() -> None:
    stream = SampleStream(cut_of(4, 2, "interpolate", 3), start=0)
    windows = feed(stream, [(0, 3), (6, 10)])
    assert [(window.first, window.filled) for window in windows] == [(0, 1), (2, 3), (4, 2), (6, 0)]
    check_values(windows, 4)  # the samples lie on a line


def test_a_gap_above_the_bound_is_not_filled() -> None:
    stream = SampleStream(cut_of(4, 4, "hold", 2), start=0)
    assert [window.first for window in feed(stream, [(0, 6), (9, 16)])] == [0, 12]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["drop", "hold", "interpolate"]),
    st.integers(1, 12),
    st.integers(1, 15),
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), min_size=1, max_size=8),
    st.data(),
)
def test_gaps_and_splits(
    gap: GapPolicy, length: int, stride: int, runs: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The same runs of samples give the same windows, whatever the messages."""
    spans, at = [], 0
    for count, missing in runs:
        spans.append((at, at + count))
        at += count + missing
    pieces = []
    for first, end in spans:
        inner = data.draw(st.sets(st.integers(first, end)))
        pieces += spans_of(sorted({first, end, *inner}))
    cut = cut_of(length, stride, gap, 0 if gap == "drop" else 3)
    whole, split = SampleStream(cut, start=0), SampleStream(cut, start=0)
    expected, found = feed(whole, spans), feed(split, pieces)
    assert [(one.first, one.filled) for one in found] == [
        (one.first, one.filled) for one in expected
    ]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    assert faults_of(split) == faults_of(whole)
    assert split.breaks == whole.breaks
    assert (split.open, split.next, split.samples) == (whole.open, whole.next, whole.samples)


def test_nan_and_infinities_pass() -> None:
    stream = SampleStream(cut_of(2, 2, "interpolate", 2), start=0)
    values = np.array([[np.nan, np.inf], [1, -np.inf]], np.float32)
    (window,) = stream.feed(Samples(None, values), arrived=0, now=NOW)
    np.testing.assert_array_equal(window.values, values)
    (filled, _) = stream.feed(Samples(3, values[:1].repeat(3, 0)), arrived=0, now=NOW)
    assert filled.filled == 1


def test_late_windows_are_dropped() -> None:
    stream = SampleStream(cut_of(4, 4, late_after=10.0), start=0)
    values = samples_of(0, 8)
    windows = stream.feed(Samples(0, values, NOW - 10.05), arrived=0, now=NOW)
    assert [window.first for window in windows] == [4]
    assert faults_of(stream) == {SensorFault.LATE: 1}
    assert windows[0].sampled_at == pytest.approx(NOW - 10.05 + 0.07)
    assert stream.open == 8


@pytest.mark.parametrize(
    "samples",
    [
        Samples(0, np.zeros((2, 3), np.float32)),
        Samples(0, np.zeros((2, 2), np.float64)),
        Samples(0, np.zeros(4, np.float32)),
        Samples(-1, np.zeros((2, 2), np.float32)),
        Samples(MAX_SEQUENCE - 1, np.zeros((2, 2), np.float32)),
    ],
)
def test_samples_that_do_not_fit_change_nothing(samples: Samples) -> None:
    stream = SampleStream(cut_of(4, 4), start=0)
    feed(stream, [(0, 3)])
    with pytest.raises((ValueError, OverflowError), match=r"samples must|out of range"):
        stream.feed(samples, arrived=0, now=NOW)
    assert [window.first for window in feed(stream, [(3, 4)])] == [0]


def test_an_empty_message_changes_nothing() -> None:
    stream = SampleStream(cut_of(4, 4), start=0)
    assert feed(stream, [(0, 0), (9, 9)]) == []
    assert stream.next == 0
