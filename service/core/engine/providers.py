"""Engines and providers by the names of settings: OpenVINO, or a provider of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING

from schemas.operator_error import OperatorError

if TYPE_CHECKING:
    from observability.onnx_runtime import ort


class Provider(StrEnum):
    """An engine, or a provider of ONNX Runtime."""

    CPU = "cpu"
    OPENVINO = "openvino"
    CUDA = "cuda"
    TENSORRT = "tensorrt"

    @property
    def runs_on_cpu(self) -> bool:
        """Whether it computes on the processor, where a batch takes as long as its images."""
        return self in {Provider.CPU, Provider.OPENVINO}

    @property
    def onnx_name(self) -> str | None:
        """The name of the provider in ONNX Runtime; None for OpenVINO, an engine of its own."""
        return _ONNX_NAMES.get(self)


class Precision(StrEnum):
    """The numbers that OpenVINO computes float32 graphs in. INT8 graphs stay INT8."""

    F32 = "f32"
    BF16 = "bf16"


_ONNX_NAMES = {
    Provider.CPU: "CPUExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT: "TensorrtExecutionProvider",
}
_COMMANDS = {
    Provider.OPENVINO: 'pip install "potoo[openvino]"',
    Provider.CUDA: "pip install onnxruntime-gpu in place of onnxruntime",
    Provider.TENSORRT: "pip install onnxruntime-gpu in place of onnxruntime",
}
Chain = list[tuple[str, dict[str, str]]]
"""Providers in order of preference, as ``InferenceSession`` takes them."""


class ProviderMissing(OperatorError):
    """The configured provider cannot be used here; the message is for the operator."""


def installed() -> list[Provider]:
    """Return the providers of the installed packages."""
    # Settings are also read by commands that run no model.
    from observability.onnx_runtime import ort

    names = ort.get_available_providers()
    return [
        provider
        for provider in Provider
        if provider.onnx_name in names
        or (provider is Provider.OPENVINO and find_spec("openvino") is not None)
    ]


def check_installed(provider: Provider) -> None:
    """Check that the package of a provider is installed; load none.

    Raises:
        ProviderMissing: if it is not; the message has the command that installs it.
    """
    if provider not in installed():
        raise ProviderMissing(
            f"inference.provider: {provider} is not installed; installed: "
            f"{', '.join(installed())} ({_COMMANDS[provider]})"
        )


def chain(provider: Provider, options: Mapping[str, str]) -> Chain:
    """Return the provider with its options, then its fallbacks for unsupported operators.

    Raises:
        ProviderMissing: if the installed ONNX Runtime was built without the provider.
    """
    check_installed(provider)
    fallbacks = {Provider.CPU: [], Provider.TENSORRT: [Provider.CUDA, Provider.CPU]}
    others = [other for other in fallbacks.get(provider, [Provider.CPU]) if other in installed()]
    used = {provider: dict(options), **{other: dict[str, str]() for other in others}}
    return [(_ONNX_NAMES[each], its_options) for each, its_options in used.items()]


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
