"""Fixtures: the ports of sensors, with accounts that the tests of a file share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.sensors.tcp_bench import TcpBenches, open_benches


@pytest.fixture(scope="module")
async def benches(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TcpBenches]:
    async with open_benches(tmp_path_factory.mktemp("tcp")) as benches:
        yield benches
