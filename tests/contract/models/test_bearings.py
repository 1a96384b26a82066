"""The bearings model of the tests, through the core: right answers for recorded vibration."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from service.core.settings import RunSettings
from tests.support.models.calls import ANYONE
from tests.support.models.tiny_model import served
from tests.support.sensors.bearings import recordings, write_bearings_model

pytestmark = pytest.mark.anyio


async def test_faults_are_recognised_in_recordings_that_were_not_fitted(tmp_path: Path) -> None:
    test = recordings("test")
    windows = test.windows_NL[:, :, np.newaxis]
    run = RunSettings(threads_alone=1, max_batch_size=16, queue_capacity=1000)
    async with served(write_bearings_model(tmp_path), run=run) as model:
        answers = await asyncio.gather(
            *(model.classify_series(one, 1, time.monotonic() + 300, ANYONE) for one in windows)
        )
    found = np.array([answer.predictions[0].index for answer in answers])
    assert np.mean(found == test.labels_N) >= 0.95
