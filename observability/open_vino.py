"""OpenVINO without telemetry. Import it from here alone, and only where it runs a model.

``import openvino`` loads its conversion tool, which reports the import to the vendor if the package
``openvino-telemetry`` is installed; ``pip install openvino`` installs it. Both are kept out of this
process: an import of a module that is None in ``sys.modules`` fails, as if it were not installed.
"""

from __future__ import annotations

import sys

REPORTING = ("openvino_telemetry", "openvino.tools.ovc")
"""The module that reports, and the tool that would start it."""

for _name in REPORTING:
    sys.modules[_name] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402 - only now

__all__ = ["REPORTING", "ov"]
