"""Windows become tensors as the textbook has it, in float64, rounded once."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.errors import InvalidTensor, Unsupported
from schemas.manifest.series import SeriesSpec
from service.core.series.preprocessing import NotFinite, SeriesPreprocessor, window_of_npy

NAN, INF = np.nan, np.inf


def spec(channels: int, length: int, **changes: Any) -> SeriesSpec:
    return SeriesSpec.model_validate(
        {"kind": "series", "name": "x", "channels": channels, "length": length} | changes
    )


def oracle(samples_LC: NDArray[np.float32], given: SeriesSpec) -> NDArray[np.float32]:
    """The tensor by loops over numbers of Python, which are float64."""
    mean, std = (
        list(one) * (given.channels if len(one) == 1 else 1) for one in (given.mean, given.std)
    )
    tensor_CL = np.empty(given.shape, np.float32)
    for channel in range(given.channels):
        last = 0.0
        for place in range(given.length):
            sample = float(samples_LC[place, channel])
            number = np.float32((sample * given.scale - mean[channel]) / std[channel])
            if np.isfinite(number):
                last = float(number)
            else:
                number = np.float32(last if given.nan == "hold" else 0)
            tensor_CL[channel, place] = number
    return tensor_CL


@pytest.mark.parametrize("seed", range(40))
def test_tensor_is_that_of_the_oracle_to_the_last_bit(seed: int) -> None:
    dice = np.random.default_rng(seed)
    channels, length = int(dice.integers(1, 9)), int(dice.integers(1, 65))
    count = channels if seed % 2 else 1
    given = spec(
        channels,
        length,
        scale=float(dice.choice([1.0, 0.5, 1 / 3, 1e-3])),
        mean=tuple(dice.normal(0, 10.0 ** dice.integers(-3, 6), count)),
        std=tuple(10.0 ** dice.uniform(-4, 4, count)),
        nan=("hold", "mean")[seed % 2],
    )
    samples = dice.normal(0, 10.0 ** dice.integers(-3, 6), (length, channels)).astype(np.float32)
    if seed % 3 == 0:
        samples[dice.random(samples.shape) < 0.3] = dice.choice([NAN, INF, -INF])
    found = SeriesPreprocessor(given).window(samples)
    assert found.tensor.dtype == np.float32
    assert found.tensor.flags["C_CONTIGUOUS"]
    assert np.array_equal(found.tensor, oracle(samples, given))
    assert found.preprocess_seconds > 0


@pytest.mark.parametrize("seed", range(24))
def test_windows_together_become_what_each_becomes_alone(seed: int) -> None:
    dice = np.random.default_rng(seed)
    channels, length = int(dice.integers(1, 4)), int(dice.integers(1, 17))
    given = spec(
        channels,
        length,
        scale=float(dice.choice([1.0, 0.5])),
        mean=(float(dice.choice([0.0, 2.0])),),
        std=(float(dice.choice([1.0, 3.0])),),
        nan=("refuse", "hold", "mean")[seed % 3],
    )
    windows = list(dice.normal(size=(5, length, channels)).astype(np.float32))
    if seed % 2:
        windows[1][dice.random(windows[1].shape) < 0.5] = NAN
        windows[3][0, 0] = INF
    preprocess, alone = SeriesPreprocessor(given), {}
    for number, window in enumerate(windows):
        with suppress(NotFinite):
            alone[number] = preprocess.window(window).tensor
    before = [window.copy() for window in windows]
    together, errors = preprocess.windows(windows)
    assert errors.keys() == set(range(5)) - alone.keys()
    assert together.tensor.flags["C_CONTIGUOUS"]
    assert together.tensor.tobytes() == b"".join(one.tobytes() for one in alone.values())
    for window, was in zip(windows, before, strict=True):
        assert window.tobytes() == was.tobytes()


def test_a_mean_far_from_zero_costs_no_digits() -> None:
    given = spec(1, 3, mean=[1e6], std=[1 / 16])
    samples = np.array([[1e6], [1e6 + 1 / 16], [1e6 - 1 / 8]], np.float32)
    assert SeriesPreprocessor(given).window(samples).tensor.tolist() == [[0, 1, -2]]


def test_tensor_without_arithmetic_is_a_transposed_copy() -> None:
    samples = np.arange(6, dtype=np.float32).reshape(3, 2)
    tensor = SeriesPreprocessor(spec(2, 3)).window(samples).tensor
    assert np.array_equal(tensor, samples.T)
    assert not np.shares_memory(tensor, samples)


def test_samples_of_any_memory_order_and_without_write_access_are_taken() -> None:
    samples = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(3, 2))
    samples.flags.writeable = False
    tensor = SeriesPreprocessor(spec(2, 3, scale=2)).window(samples).tensor
    assert np.array_equal(tensor, 2 * samples.T)
    assert tensor.flags.writeable


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("hold", [[0, 0, 5, 5, 7], [3, 4, 4, 4, 4]]), ("mean", [[0, 0, 5, 0, 7], [3, 4, 0, 0, 0]])],
)
def test_samples_that_are_not_finite_are_replaced(policy: str, expected: list[list[int]]) -> None:
    rows = [[NAN, INF, 5, NAN, 7], [3, 4, NAN, -INF, INF]]
    samples = np.array(rows, np.float32).T + np.float32(10)
    found = SeriesPreprocessor(spec(2, 5, mean=[10], nan=policy)).window(samples)
    assert found.tensor.tolist() == expected


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_samples_that_are_not_finite_are_refused_by_their_place(bad: float) -> None:
    samples = np.zeros((4, 2), np.float32)
    samples[3, 1] = bad
    with pytest.raises(NotFinite, match=r"Sample 3 of channel 1 is not finite\.") as caught:
        SeriesPreprocessor(spec(2, 4)).window(samples)
    assert isinstance(caught.value, InvalidTensor)


@pytest.mark.parametrize(("sample", "scale"), [(3e38, 10), (3e38, 1e300), (INF, 0)])
def test_results_that_are_not_finite_are_refused_without_a_warning(
    sample: float, scale: float
) -> None:
    samples = np.array([[0], [sample]], np.float32)
    with pytest.raises(NotFinite, match="Sample 1 of channel 0"):
        SeriesPreprocessor(spec(1, 2, scale=scale)).window(samples)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((3, 3), np.float32),
        np.zeros((2, 4), np.float32),
        np.zeros((1, 4, 2), np.float32),
        np.zeros(8, np.float32),
        np.zeros((4, 2), np.float64),
        np.zeros((4, 2), ">f4"),
    ],
    ids=str,
)
def test_windows_of_another_shape_or_type_are_refused(samples: NDArray[Any]) -> None:
    with pytest.raises(InvalidTensor, match=r"A window is float32 of shape \[4, 2\]"):
        SeriesPreprocessor(spec(2, 4)).window(samples)


def test_images_are_refused() -> None:
    with pytest.raises(Unsupported, match="windows of 4 samples of 2 channels, not images"):
        SeriesPreprocessor(spec(2, 4))(b"GIF89a", may_be_slow=False)


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_windows_are_read_from_numpy_files() -> None:
    samples = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.array_equal(window_of_npy(npy(samples)), samples)


@pytest.mark.parametrize(
    "data",
    [b"", b"no file", npy(np.zeros(3)), npy(np.array([{}])), npy(np.zeros(3, np.float32))[:-1]],
    ids=["empty", "text", "float64", "objects", "truncated"],
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidTensor):
        window_of_npy(data)
