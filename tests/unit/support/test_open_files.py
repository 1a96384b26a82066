"""A file of tests that leaves many descriptors open fails."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from tests.support.processes.open_files import MOST_LEFT, closing_files


def open_some(stack: ExitStack, number: int) -> None:
    for _ in range(number):
        descriptor = os.open(os.devnull, os.O_RDONLY)
        stack.callback(os.close, descriptor)


def leave_open(stack: ExitStack, number: int) -> None:
    with closing_files("a test"):
        open_some(stack, number)


def test_many_open_files_are_reported() -> None:
    with ExitStack() as stack, pytest.raises(AssertionError, match="a test leaves"):
        leave_open(stack, MOST_LEFT + 20)


def test_closed_files_and_a_few_open_ones_are_allowed() -> None:
    with ExitStack() as few, closing_files("a test"):
        open_some(few, MOST_LEFT // 2)
        with ExitStack() as many:
            open_some(many, 2 * MOST_LEFT)
