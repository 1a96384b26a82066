"""Default photo for loading a server."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

SIZE = (500, 375)
QUALITY = 88


def jpeg() -> bytes:
    """Make a synthetic image that decodes at the cost of a photo: about 60 kB of JPEG.

    Soft shapes with some grain: plain colours would decode faster than any photo, noise slower.
    """
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
    soft = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), np.float32)
    grain = random.normal(0, 9, soft.shape)
    picture = Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
