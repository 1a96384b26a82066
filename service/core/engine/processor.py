"""Exactness of INT8 products on this processor, from Linux's description of it."""

from __future__ import annotations

import platform
from pathlib import Path

_X86 = {"x86_64", "AMD64", "i386", "i686"}
_EXACT = {"avx512_vnni", "avx_vnni", "amx_int8"}


def multiplies_int8_exactly(
    cpuinfo: Path = Path("/proc/cpuinfo"), machine: str = platform.machine()
) -> bool:
    """Return whether sums of 8-bit products keep all their bits.

    x86 without VNNI or AMX adds pairs of them in 16 bits, with saturation. If the processor is not
    described, it is assumed to do so.
    """
    if machine not in _X86:
        return True
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return not _EXACT.isdisjoint(flags.split())
