"""The execution providers of ONNX Runtime, by the names that settings use."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from schemas.operator_error import OperatorError

if TYPE_CHECKING:
    from observability.onnx_runtime import ort


class Provider(StrEnum):
    """An execution provider of ONNX Runtime."""

    CPU = "cpu"
    OPENVINO = "openvino"
    CUDA = "cuda"
    TENSORRT = "tensorrt"

    @property
    def onnx_name(self) -> str:
        """The name of the provider in ONNX Runtime."""
        return _ONNX_NAMES[self]


_ONNX_NAMES = {
    Provider.CPU: "CPUExecutionProvider",
    Provider.OPENVINO: "OpenVINOExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT: "TensorrtExecutionProvider",
}
_PACKAGES = {
    Provider.OPENVINO: "onnxruntime-openvino",
    Provider.CUDA: "onnxruntime-gpu",
    Provider.TENSORRT: "onnxruntime-gpu",
}
Chain = list[tuple[str, dict[str, str]]]
"""Providers in order of preference, as ``InferenceSession`` takes them."""


class ProviderMissing(OperatorError):
    """The configured provider cannot be used here; the message is for the operator."""


def installed() -> list[Provider]:
    """Return the providers of the installed ONNX Runtime."""
    # Settings are also read by commands that run no model.
    from observability.onnx_runtime import ort

    names = ort.get_available_providers()
    return [provider for provider in Provider if provider.onnx_name in names]


def chain(provider: Provider, options: Mapping[str, str], threads: int = 1) -> Chain:
    """Return the provider with its options, then its fallbacks for unsupported operators.

    Args:
        threads: cores that a run may use; OpenVINO would take all of them for every image.

    Raises:
        ProviderMissing: if the installed ONNX Runtime was built without the provider.
    """
    if provider not in installed():
        raise ProviderMissing(
            f"inference.provider: {provider} is not installed; installed: "
            f"{', '.join(installed())} (pip install {_PACKAGES[provider]} "
            "in place of onnxruntime)"
        )
    fallbacks = {Provider.CPU: [], Provider.TENSORRT: [Provider.CUDA, Provider.CPU]}
    others = fallbacks.get(provider, [Provider.CPU])
    usual: dict[str, str] = {}
    if provider is Provider.OPENVINO and options.get("device_type", "CPU") == "CPU":
        usual = {"device_type": "CPU", "num_of_threads": str(threads)}
    return [
        (provider.onnx_name, {**usual, **options}),
        *((other.onnx_name, {}) for other in others if other in installed()),
    ]


def check_in_use(session: ort.InferenceSession, provider: Provider) -> None:
    """Check that the provider started; ONNX Runtime only logs it if one fails to start.

    Raises:
        ProviderMissing: if the session runs without the provider.
    """
    if provider.onnx_name not in session.get_providers():
        raise ProviderMissing(
            f"inference.provider: {provider} is installed but did not start: "
            "is its device there with the right driver, and do inference.provider_options fit?"
        )
