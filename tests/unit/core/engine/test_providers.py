"""Execution providers: a missing one is reported with the installed ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from observability.onnx_runtime import ort
from service.core.engine.onnx_engine import OnnxEngine
from service.core.engine.providers import (
    Chain,
    Provider,
    ProviderMissing,
    chain,
    check_in_use,
    installed,
)
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_manifest
from service.core.settings import RunSettings
from tests.support.models.tiny_model import served, write_model

MISSING = [provider for provider in Provider if provider not in installed()]


def test_cpu_provider_is_always_installed() -> None:
    assert Provider.CPU in installed()
    assert chain(Provider.CPU, {}) == [("CPUExecutionProvider", {})]


@pytest.mark.parametrize("provider", MISSING)
def test_missing_provider_is_refused_with_the_installed_ones(provider: Provider) -> None:
    with pytest.raises(ProviderMissing) as caught:
        chain(provider, {})
    message = str(caught.value)
    assert message.startswith(f"inference.provider: {provider} is not installed; installed: cpu")
    assert "pip install onnxruntime-" in message


def test_every_provider_name_is_known_to_onnx_runtime() -> None:
    assert {provider.onnx_name for provider in Provider} <= set(ort.get_all_providers())


def test_provider_that_did_not_start_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    check_in_use(session, Provider.CPU)
    with pytest.raises(ProviderMissing, match="cuda is installed but did not start"):
        check_in_use(session, Provider.CUDA)


def test_provider_options_reach_every_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Chain] = []

    class Recording(ort.InferenceSession):  # type: ignore[misc]
        """Records its providers, because the CPU provider's options cannot be read back."""

        def __init__(self, *arguments: Any, providers: Chain) -> None:
            given.append(providers)
            super().__init__(*arguments, providers=providers)

    monkeypatch.setattr(ort, "InferenceSession", Recording)
    folder = write_model(tmp_path)
    options = {"arena_extend_strategy": "kSameAsRequested"}
    engine = OnnxEngine(
        *(folder / "model.onnx", read_manifest(folder)),
        lone_threads=2,
        provider_options=options,
        worth_seconds=0,
    )
    engine.close()
    assert given == [[("CPUExecutionProvider", options)]] * 2


def test_openvino_has_default_threads_and_gpu_providers_fall_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.core.engine.providers.installed", lambda: list(Provider))
    usual = {"device_type": "CPU", "num_of_threads": "2"}
    cpu: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})
    assert chain(Provider.OPENVINO, {}, 2) == [("OpenVINOExecutionProvider", usual), cpu]
    told = {"device_type": "GPU"}
    assert chain(Provider.OPENVINO, told, 2) == [("OpenVINOExecutionProvider", told), cpu]
    names = [name for name, _ in chain(Provider.TENSORRT, {})]
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.anyio
@pytest.mark.skipif(Provider.OPENVINO in installed(), reason="OpenVINO is installed")
async def test_model_for_a_missing_provider_is_refused_at_start(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    with pytest.raises(ModelRefused, match=r"provider: openvino is not installed"):
        async with served(folder, run=RunSettings(provider=Provider.OPENVINO)):
            pass
