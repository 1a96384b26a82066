"""Execution providers: a missing one is reported with the installed ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from observability.onnx_runtime import ort
from service.core.engine.onnx_engine import OnnxEngine
from service.core.engine.providers import (
    Chain,
    Precision,
    Provider,
    ProviderMissing,
    chain,
    check_in_use,
    check_installed,
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
        check_installed(provider)
    message = str(caught.value)
    assert message.startswith(f"inference.provider: {provider} is not installed; installed: cpu")
    assert "(pip install " in message


def test_every_provider_but_openvino_is_known_to_onnx_runtime() -> None:
    names = {provider.onnx_name for provider in Provider if provider is not Provider.OPENVINO}
    assert names <= set(ort.get_all_providers())
    assert Provider.OPENVINO.onnx_name is None


def test_batches_are_for_what_does_not_run_on_the_cpu() -> None:
    assert [each for each in Provider if each.runs_on_cpu] == [Provider.CPU, Provider.OPENVINO]


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

        def __init__(self, *arguments: Any, providers: Chain, **options: Any) -> None:
            given.append(providers)
            super().__init__(*arguments, providers=providers, **options)

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


def test_gpu_providers_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.core.engine.providers.installed", lambda: list(Provider))
    names = [name for name, _ in chain(Provider.TENSORRT, {"device_id": "1"})]
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert chain(Provider.CUDA, {"device_id": "1"})[0][1] == {"device_id": "1"}


@pytest.mark.anyio
async def test_openvino_that_is_not_installed_is_refused_at_start_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.core.engine.providers.find_spec", lambda _: None)
    folder = write_model(tmp_path)
    refusal = (
        r"provider: openvino is not installed; installed: cpu.* "
        r'\(pip install "potoo\[openvino\]"\)$'
    )
    with pytest.raises(ModelRefused, match=refusal):
        async with served(folder, run=RunSettings(provider=Provider.OPENVINO)):
            pass


@pytest.mark.anyio
async def test_bfloat16_is_refused_for_other_providers(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    with pytest.raises(ModelRefused, match=r"bf16 needs inference\.provider openvino, not cpu"):
        async with served(folder, run=RunSettings(precision=Precision.BF16)):
            pass


@pytest.mark.process
def test_onnx_runtime_alone_loads_no_openvino() -> None:
    program = (
        "import sys\n"
        "from service.core.lifecycle import loading\n"
        "assert not [name for name in sys.modules if name.startswith('openvino')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
