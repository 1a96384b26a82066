"""Growing restart delays of workers that die."""

from __future__ import annotations

from service.transport.http.server.restart_delay import (
    LONG_LIFE_SECONDS,
    LONGEST_DELAY,
    RestartDelay,
)


def test_first_replacement_has_no_delay() -> None:
    assert RestartDelay().after(0) == 0
    assert RestartDelay().after(LONG_LIFE_SECONDS) == 0


def test_crash_loop_doubles_the_delay_up_to_a_maximum() -> None:
    delay = RestartDelay()
    waits = [delay.after(1) for _ in range(2000)]
    assert waits[:8] == [0, 1, 2, 4, 8, 16, LONGEST_DELAY, LONGEST_DELAY]
    assert set(waits[8:]) == {LONGEST_DELAY}


def test_long_lived_worker_resets_the_delay() -> None:
    delay = RestartDelay()
    assert [delay.after(seconds) for seconds in (1, 1, LONG_LIFE_SECONDS, 1, 1)] == [0, 1, 0, 0, 1]
