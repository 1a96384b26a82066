"""Choice of the kind of a manifest's input."""

from __future__ import annotations

from pathlib import Path

from schemas.manifest.model_input import InputSpec
from schemas.manifest.numeric import NumericSpec
from schemas.manifest.series import SeriesSpec
from schemas.manifest.text import TextSpec
from schemas.models import ModelManifest
from service.core.engine.graph_check import ManifestMismatch
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.preprocessing import Preprocessor, pixel_spec
from service.core.imaging.resizers import Resizer
from service.core.numeric.column_map import ColumnMap
from service.core.serving.kinds.images import ImageKind
from service.core.serving.kinds.kind import Kind
from service.core.serving.kinds.numeric import NumericKind
from service.core.serving.kinds.series import SeriesKind
from service.core.serving.kinds.text import TextKind
from service.core.text.tokenizer import OpenTokenizer, TokenizerRefused


def open_kind(
    folder: Path,
    manifest: ModelManifest,
    limits: ImageLimits,
    resizer: Resizer,
    open_tokenizer: OpenTokenizer,
    *,
    takes_pixels: bool,
    scaler: ColumnMap | None = None,
) -> Kind:
    """Return the kind of input of a model, with its preprocessing.

    Args:
        folder: of the version.
        takes_pixels: whether the engine normalises images itself; see ``Engine``.
        scaler: the one that the manifest names.

    Raises:
        ManifestMismatch: the tokenizer of a model of text cannot be used.
    """
    match manifest.input:
        case SeriesSpec() as spec:
            return SeriesKind(spec, scaler)
        case NumericSpec() as spec:
            return NumericKind(spec, scaler)
        case TextSpec() as spec:
            return _text_kind(folder, spec, open_tokenizer)
        case InputSpec() as spec:
            images = pixel_spec(spec) if takes_pixels else spec
            return ImageKind(spec, Preprocessor(images, limits, resizer, scaler))


def _text_kind(folder: Path, spec: TextSpec, open_tokenizer: OpenTokenizer) -> TextKind:
    try:
        tokenizer = open_tokenizer(folder / spec.tokenizer, spec)
    except TokenizerRefused as error:
        raise ManifestMismatch("input.tokenizer", str(error)) from error
    if tokenizer.size < 1:
        raise ManifestMismatch("input.tokenizer", f"{spec.tokenizer} has no tokens")
    if spec.padding >= tokenizer.size:
        raise ManifestMismatch(
            "input.padding",
            f"is {spec.padding}, but the tokenizer's largest number is {tokenizer.size - 1}",
        )
    return TextKind(spec, tokenizer)
