"""Which processors multiply INT8 exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.core.engine.processor import multiplies_int8_exactly


@pytest.mark.parametrize(
    ("flags", "machine", "exact"),
    [
        ("fpu avx2 fma", "x86_64", False),
        ("fpu avx2 avx512bw", "AMD64", False),
        ("fpu avx2 avx_vnni fma", "x86_64", True),
        ("fpu avx512_vnni", "x86_64", True),
        ("amx_int8", "x86_64", True),
        ("", "x86_64", False),
        ("fp asimd", "aarch64", True),
    ],
)
def test_flags_say_whether_sums_are_exact(
    tmp_path: Path, flags: str, machine: str, exact: bool
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: x\nflags\t\t: {flags}\n")
    assert multiplies_int8_exactly(file, machine) is exact


def test_a_processor_that_is_not_described_is_assumed_to_saturate(tmp_path: Path) -> None:
    assert not multiplies_int8_exactly(tmp_path / "none", "x86_64")
    assert multiplies_int8_exactly(tmp_path / "none", "arm64")
