"""Fixtures: the ports of sensors, with accounts that the tests of a file share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest

from tests.support.sensors.tcp.bench import TcpBenches, open_benches


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop of the server where it is installed: its transports differ from asyncio's."""
    return "asyncio", {"use_uvloop": find_spec("uvloop") is not None}


@pytest.fixture(scope="module")
async def benches(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TcpBenches]:
    async with open_benches(tmp_path_factory.mktemp("tcp")) as benches:
        yield benches
