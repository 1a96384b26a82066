"""``python -m training.recipes.everyday``: from photos to a model folder that the server loads."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from schemas.models import MODEL_FILE
from training import distillation
from training.distillation_data import Views, prepare
from training.export import export_onnx
from training.photos import Photo, read_split
from training.recipes.everyday import publish, recipe
from training.recipes.everyday.evaluate import MODEL_FOLDER, classes
from training.recipes.everyday.network import make_student
from training.schedule import Epoch
from training.teacher import fit_head


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        prog="make everyday",
        description="Train, calibrate, export and evaluate the everyday classifier. "
        "A run that was stopped goes on where it was.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val, test.tar")
    parser.add_argument("--teacher", type=Path, help="ONNX ImageNet classifier to learn from")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="version folder to write")
    parser.add_argument("--results", type=Path, default=publish.RESULTS, help="plots and numbers")
    parser.add_argument("--cache", type=Path, default=Path(".cache/everyday"), help="for resuming")
    parser.add_argument("--epochs", type=int, default=recipe.SCHEDULE.epochs)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--smoke", action="store_true", help="64 photos, one epoch: does it run?")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    schedule = replace(recipe.SCHEDULE, epochs=arguments.epochs)
    names = classes(arguments.data)
    photos = read_split(arguments.data / "train.tar", names)
    checks = read_split(arguments.data / "val.tar", names)
    if arguments.smoke:
        arguments.out = arguments.cache / "smoke" / recipe.NAME / str(recipe.VERSION)
        arguments.results = arguments.cache / "smoke" / "results"
        schedule = replace(schedule, epochs=1, batch=32)
        photos, checks = photos[:: len(photos) // 64][:64], checks[::50]
    views = make_views(arguments, photos, recipe.CROPS if not arguments.smoke else 1)
    head = width = None
    if views.features_PVF is not None:
        width = views.features_PVF.shape[2]
        head = teach_head(
            views, views.features_PVF, len(names), epochs=8 if not arguments.smoke else 1
        )
    torch.manual_seed(schedule.seed)
    student = make_student(len(names), width)
    validation = make_views(arguments, checks, 0)
    trained, history = distillation.train(
        student,
        views,
        len(names),
        head,
        schedule,
        score=lambda model: validation_top1(model, validation),
        checkpoint=arguments.cache / f"{'smoke' if arguments.smoke else 'run'}.pt",
        report=lambda line: print_epoch(line, schedule.epochs),
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = arguments.out / MODEL_FILE
    export_onnx(trained, recipe.GEOMETRY.crop, model)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    print(f"exported {model} ({model.stat().st_size / 1e6:.2f} MB, sha256 {digest[:12]})")
    publish.publish(arguments.out, arguments.results, arguments.data, checks, names, history)


def make_views(arguments: argparse.Namespace, photos: list[Photo], crops: int) -> Views:
    """Return the views of one split, cached ones if available."""
    return prepare(
        photos,
        geometry=recipe.GEOMETRY,
        crops=crops,
        area=recipe.CROP_AREA,
        teacher_path=arguments.teacher,
        threads=arguments.threads,
        cache=arguments.cache,
        seed=recipe.SCHEDULE.seed,
    )


def teach_head(
    views: Views, features_PVF: NDArray[np.float16], classes: int, epochs: int
) -> torch.nn.Linear:
    """The teacher's answers for our classes: a linear head on its features of every view."""
    mean, std = distillation.feature_statistics(views)
    features = torch.from_numpy(np.asarray(features_PVF, np.float32))
    features = ((features - mean) / std).flatten(0, 1)
    labels = torch.from_numpy(views.labels_P).repeat_interleave(features_PVF.shape[1])
    return fit_head(features, labels, classes, epochs=epochs, seed=recipe.SCHEDULE.seed)


def validation_top1(model: torch.nn.Module, views: Views) -> float:
    """Share of the centre views that are classified correctly."""
    device = next(model.parameters()).device
    right = 0
    for start in range(0, len(views.labels_P), 128):
        rows = slice(start, start + 128)
        pixels = torch.from_numpy(np.asarray(views.images_PVHWC[rows, 0])).to(device)
        images = distillation.normalised(pixels.permute(0, 3, 1, 2).float())
        with torch.no_grad():
            best = model(images).argmax(1).cpu().numpy()
        right += int((best == views.labels_P[rows]).sum())
    return right / len(views.labels_P)


def print_epoch(line: Epoch, total: int) -> None:
    """Format a line per epoch, with the estimated remaining time."""
    left = (total - line.epoch) * line.seconds / 60
    print(
        f"epoch {line.epoch:3d} of {total}  loss {line.loss:.3f}  validation {line.top1:.1%}  "
        f"{line.seconds:.0f} s, about {left:.0f} min left",
        flush=True,
    )


if __name__ == "__main__":
    main()
