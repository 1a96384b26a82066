"""Pauses between attempts."""

from __future__ import annotations

import pytest

from service.coordination.retrying import backoff, retry_after

NOW = 1_800_000_000.0


def test_pause_doubles_from_one_second_to_five_minutes() -> None:
    pauses = [backoff(attempts, jitter=lambda: 1.0) for attempts in range(1, 12)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert backoff(10**6, jitter=lambda: 1.0) == 300
    assert backoff(20, longest=60, jitter=lambda: 1.0) == 60


def test_jitter_takes_up_to_half_of_the_pause() -> None:
    assert backoff(3, jitter=lambda: 0.0) == 2
    assert len({backoff(9) for _ in range(20)}) > 1
    assert all(128 <= backoff(9) <= 256 for _ in range(100))


def test_twenty_attempts_take_an_hour() -> None:
    longest = sum(backoff(attempts, jitter=lambda: 1.0) for attempts in range(1, 20))
    assert 3000 < longest < 3700


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0", 1.0),
        ("9" * 400, 3600.0),
        ("Fri, 15 Jan 2027 08:01:40 GMT", 100.0),
        ("Fri, 15 Jan 2027 08:01:40 -0000", 100.0),
        ("Fri, 15 Jan 2021 08:01:40 GMT", 1.0),
        ("Fri, 15 Jan 2999 08:01:40 GMT", 3600.0),
        ("Fri, 99 Jan 2027 08:01:40 GMT", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0663", None),
        ("", None),
    ],
)
def test_retry_after_is_read_within_bounds(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds
