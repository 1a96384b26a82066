"""Export of a trained network as ONNX: uint8 pixels [N, H, W, 3] -> logits [N, K]."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from observability.onnx_runtime import ort
from training.distillation import MEAN, STD
from training.networks import Student

TOLERANCE = 1e-3
INPUT, OUTPUT = "images", "logits"


class Deployed(nn.Module):
    """The network with its normalisation, so that the server does not normalise."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = copy.deepcopy(student).cpu().eval()
        self.student.project = None
        # Dividing by STD is left to the first convolution.
        first = self.student.stem[0]
        first.weight.data /= STD

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, H, W, 3] -> logits [N, K]."""
        return self.student(images.permute(0, 3, 1, 2).float() - MEAN)


def export_onnx(student: Student, side: int, path: Path) -> None:
    """Write the model file, and check that its outputs equal the network's.

    Raises:
        ValueError: if they differ by more than ``TOLERANCE``.
    """
    deployed = Deployed(student).eval()
    example = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    program = torch.onnx.export(
        deployed,
        (example,),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=1024)}},
        dynamo=True,
        opset_version=18,
        optimize=True,
    )
    program.save(path, external_data=False)
    model = onnx.load(str(path))
    del model.metadata_props[:]
    for node in model.graph.node:  # stack traces with file names of the training machine
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    model.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    exported = session.run([OUTPUT], {INPUT: pixels})[0]
    with torch.no_grad():
        expected = deployed(torch.from_numpy(pixels)).numpy()
    if np.abs(exported - expected).max() > TOLERANCE:
        message = "the exported model answers differently"
        raise ValueError(message)
