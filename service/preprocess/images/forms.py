"""Forms of a prepared image: ``.npy``, Open Inference binary, JSON. Sans-I/O."""

from __future__ import annotations

import base64
import io
from typing import Literal

import numpy as np
import orjson

from schemas.http.inference import Datatype
from schemas.manifest.model_input import Dtype, InputSpec
from service.core.serving.image_tensors import ImageTensor
from service.core.tensors.tensors import Tensor, to_raw

LENGTH_HEADER = "inference-header-content-length"
"""Bytes of JSON before the binary tensor: see the Open Inference Protocol's binary extension."""
Data = Literal["flat", "nested", "base64"]


def datatype_of(spec: InputSpec) -> Datatype:
    """Return the name of the tensor's type in the Open Inference Protocol."""
    return Datatype.UINT8 if spec.dtype is Dtype.UINT8 else Datatype.FP32


def raw_of(image: ImageTensor) -> bytes:
    """Return the values of a tensor: little-endian, in row-major order."""
    return to_raw(Tensor(image.spec.name, datatype_of(image.spec), image.tensor))


def to_npy(image: ImageTensor) -> bytes:
    """Return a NumPy file, format 1.0, little-endian."""
    file = io.BytesIO()
    dtype = image.tensor.dtype.newbyteorder("<")
    np.lib.format.write_array(
        file, np.asarray(image.tensor, dtype), version=(1, 0), allow_pickle=False
    )
    return file.getvalue()


def to_binary(image: ImageTensor) -> tuple[bytes, int]:
    """Return an answer of the Open Inference Protocol with a binary output, and its JSON's size.

    The output has the name of the graph's input. Clients of the protocol read it as they read the
    answer of ``infer``.
    """
    raw = raw_of(image)
    head = orjson.dumps(
        {
            "model_name": image.model.name,
            "model_version": str(image.model.version),
            "outputs": [
                {
                    "name": image.spec.name,
                    "datatype": datatype_of(image.spec),
                    "shape": image.tensor.shape,
                    "parameters": {"binary_data_size": len(raw)},
                }
            ],
        }
    )
    return head + raw, len(head)


def to_document(image: ImageTensor, data: Data) -> dict[str, object]:
    """Return the members of a JSON answer; float32 values are written so that they survive."""
    spec = image.spec
    values: object = image.tensor
    if data == "flat":
        values = image.tensor.reshape(-1)
    elif data == "base64":
        values = base64.b64encode(raw_of(image)).decode()
    return {
        "model": {"name": image.model.name, "version": image.model.version},
        "tensor": {
            "name": spec.name,
            "datatype": datatype_of(spec),
            "shape": image.tensor.shape,
            "data": values,
        },
        "layout": spec.layout.value,
        "colour": spec.colour.value,
        "image": {
            "format": image.format,
            "width": image.width,
            "height": image.height,
            "truncated": image.is_truncated,
        },
    }
