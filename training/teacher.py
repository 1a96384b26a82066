"""A frozen ONNX classifier as teacher: its pooled features, and a linear head fitted on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from observability.onnx_runtime import ort

SIDE = 224
"""Pixels a side of the teacher's input."""

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


class Teacher:
    """An ImageNet classifier without its last layer.

    The features are the input of the last ``Gemm``, ``MatMul`` or ``Conv`` of the graph.
    """

    def __init__(self, path: Path, threads: int) -> None:
        model = onnx.load(str(path))
        last = [node for node in model.graph.node if node.op_type in {"Gemm", "MatMul", "Conv"}][-1]
        del model.graph.output[:]
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def features(self, views_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of RGB views, uint8 [N, 224, 224, 3] -> float32 [N, F]."""
        scaled = (views_NHWC.astype(np.float32) / 255 - MEAN) / STD
        feed = {self._input: np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))}
        features: NDArray[np.float32] = self._session.run(None, feed)[0]
        return features.reshape(len(views_NHWC), -1)


def fit_head(
    features_NF: torch.Tensor, labels_N: torch.Tensor, classes: int, *, epochs: int, seed: int
) -> torch.nn.Linear:
    """Multinomial logistic regression on standardised features (Adam, weight decay)."""
    torch.manual_seed(seed)
    head = torch.nn.Linear(features_NF.shape[1], classes)
    optimiser = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.05)
    steps = epochs * max(1, len(labels_N) // 512)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(0, len(labels_N), (512,))
        loss = torch.nn.functional.cross_entropy(head(features_NF[rows].float()), labels_N[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.requires_grad_(requires_grad=False)
