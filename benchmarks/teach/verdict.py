"""``python -m benchmarks.teach.verdict --data DIR``: whether verdicts are true, and choosing pays.

The folder has a folder of photos for each class, or tar files of such folders. Photos are taken as
independent: one group each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.support import results
from benchmarks.teach import flips, honesty, plots, saving
from benchmarks.teach.labelled import load
from service.teach.heads.fitting import FitOptions

PARTS = ("honesty", "flips", "saving")


def main() -> None:
    """Measure; print rows and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teach.verdict", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--base", default="imagenet", help="built-in model that gives features")
    parser.add_argument("--cache", type=Path, help="npz file that keeps the features")
    parser.add_argument("--resamples", type=int, default=50, help="draws for each size")
    parser.add_argument("--seeds", type=int, default=20, help="of flips and of label saving")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure these parts alone")
    parser.add_argument("--no-write", action="store_true", help="do not keep the figures")
    arguments = parser.parse_args()
    data = load(arguments.data, arguments.base, arguments.cache)
    options = FitOptions()
    wanted = arguments.only or PARTS
    facts: dict[str, object] = {
        "data": arguments.data.name,
        "base": arguments.base,
        "photos": len(data.labels_N),
        "classes": data.classes,
    }
    honest, saved = None, None
    if "honesty" in wanted:
        facts["honesty"] = honest = honesty.measure(data, arguments.resamples, options)
    if "flips" in wanted:
        facts["flips"] = flips.measure(data, max(1, arguments.seeds // 4), options)
    if "saving" in wanted:
        facts["saving"] = saved = saving.measure(data, arguments.seeds)
    if arguments.no_write:
        return
    path = results.write("teach-verdict", facts)
    if honest is not None:
        plots.plot_honesty(honest, path.with_name(f"{path.stem}-intervals.png"))
    if saved is not None:
        plots.plot_saving(saved, path.with_name(f"{path.stem}-saving.png"))
    print(f"written to {path}")


if __name__ == "__main__":
    main()
