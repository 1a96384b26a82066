"""Choice of the kind of a manifest's input."""

from __future__ import annotations

from schemas.models import ModelManifest
from schemas.series import SeriesSpec
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.preprocessing import Preprocessor, pixel_spec
from service.core.imaging.resizers import Resizer
from service.core.numeric.column_map import ColumnMap
from service.core.serving.kinds.images import ImageKind
from service.core.serving.kinds.kind import Kind
from service.core.serving.kinds.series import SeriesKind


def open_kind(
    manifest: ModelManifest,
    limits: ImageLimits,
    resizer: Resizer,
    *,
    takes_pixels: bool,
    scaler: ColumnMap | None = None,
) -> Kind:
    """Return the kind of input of a model, with its preprocessing.

    Args:
        takes_pixels: whether the engine normalises images itself; see ``Engine``.
        scaler: the one that the manifest names.
    """
    spec = manifest.input
    if isinstance(spec, SeriesSpec):
        return SeriesKind(spec, scaler)
    images = pixel_spec(spec) if takes_pixels else spec
    return ImageKind(spec, Preprocessor(images, limits, resizer, scaler))
