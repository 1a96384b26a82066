"""Frames on the server's models: a model that takes windows of samples refuses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.cameras import CameraFailure
from schemas.errors import Unsupported
from service.cameras.watching.classifying import PooledClassifier, failure_of
from service.core.engine.pool import WorkerPool
from service.core.serving.classifier import Classifier
from service.core.serving.registry import Registry
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import image_limits, served
from tests.support.sensors.tiny_series import write_series_model

pytestmark = pytest.mark.anyio


async def test_frames_are_refused_by_a_model_of_windows(tmp_path: Path) -> None:
    pool = WorkerPool("frames", 1)
    async with served(write_series_model(tmp_path)) as model:
        classifier = Classifier(Registry({"loudest": model}, None), default_timeout=30)
        frames = PooledClassifier(pool, classifier, image_limits())
        with pytest.raises(Unsupported, match="takes windows of 8 samples") as caught:
            await frames.classify("door", plain(RED), "loudest")
    pool.close()
    assert failure_of(caught.value) is CameraFailure.MODEL
