"""The classification extension of the Open Inference Protocol: best classes as an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.core.imaging.postprocessing import top_k
from service.core.tensors.inference import InferResponse
from service.core.tensors.tensors import Tensor, of_bytes
from service.transport.open_inference.inference_parameters import RequestedOutput


def with_classes(response: InferResponse, outputs: Sequence[RequestedOutput]) -> InferResponse:
    """Replace the outputs of which classes were requested by BYTES tensors.

    An element is ``value:index:label``. The shape is [N, k], the best class of an item first.
    """
    wanted = {output.name: output.classes for output in outputs if output.classes}
    if not wanted:
        return response
    return replace(
        response,
        outputs=tuple(
            _classes(tensor, response, wanted[tensor.name]) if tensor.name in wanted else tensor
            for tensor in response.outputs
        ),
    )


def _classes(tensor: Tensor, response: InferResponse, count: int) -> Tensor:
    output_NK = tensor.array.reshape(len(tensor.array), -1)
    # NaN never ranks as the best.
    ranked_NK = np.where(np.isnan(output_NK), -np.inf, output_NK)
    elements = [
        f"{output_K[index]:f}:{index}:{_label(response, index)}".encode()
        for output_K, ranked_K in zip(output_NK, ranked_NK, strict=True)
        for index in top_k(ranked_K, count).tolist()
    ]
    return of_bytes(tensor.name, elements, (len(output_NK), min(count, output_NK.shape[1])))


def _label(response: InferResponse, index: int) -> str:
    """Return the label, or the index if it has no label: clients expect a third part."""
    place = index - response.label_offset
    return response.labels[place] if 0 <= place < len(response.labels) else str(index)
