"""What ONNX Runtime can run a model on, by the names that settings use."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from schemas.operator_error import OperatorError

if TYPE_CHECKING:
    import onnxruntime as ort


class Provider(StrEnum):
    """An execution provider of ONNX Runtime."""

    CPU = "cpu"
    OPENVINO = "openvino"
    CUDA = "cuda"
    TENSORRT = "tensorrt"

    @property
    def onnx_name(self) -> str:
        """As ONNX Runtime calls it."""
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
    """The provider that was asked for cannot be used here; the message is for the operator."""


def installed() -> list[Provider]:
    """The providers of the ONNX Runtime that is installed."""
    import onnxruntime as ort  # settings are read where nothing is run

    names = ort.get_available_providers()
    return [provider for provider in Provider if provider.onnx_name in names]


def chain(provider: Provider, options: Mapping[str, str], threads: int = 1) -> Chain:
    """The provider with its options, then those that take what it cannot run.

    Args:
        threads: cores that a run may use; OpenVINO would take all of them for every image.

    Raises:
        ProviderMissing: if this ONNX Runtime was built without it.
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
    """ONNX Runtime goes on without a provider that fails to start, and only logs it; we do not.

    Raises:
        ProviderMissing: if the session runs without the provider.
    """
    if provider.onnx_name not in session.get_providers():
        raise ProviderMissing(
            f"inference.provider: {provider} is installed but did not start: "
            "is its device there with the right driver, and do inference.provider_options fit?"
        )
