"""Best classes of an output as ``value:index:label``."""

from __future__ import annotations

import numpy as np

from schemas.http.inference import Datatype
from service.core.imaging.answer import ModelRef
from service.core.tensors.inference import InferResponse
from service.core.tensors.tensors import Tensor
from service.transport.open_inference.classification_extension import with_classes
from service.transport.open_inference.inference_parameters import RequestedOutput

LABELS = ("red", "green", "blue")


def response(*rows: list[float], offset: int = 0, shape: tuple[int, ...] = (3,)) -> InferResponse:
    output = Tensor("logits", Datatype.FP32, np.array(rows, np.float32).reshape(-1, *shape))
    return InferResponse(ModelRef("m", 1), (output,), "an id", LABELS, offset)


def test_classes_are_listed_best_first() -> None:
    given = response([0, 2.5, 5], [10, 0, 0])
    answer = with_classes(given, (RequestedOutput("logits", 2),))
    (output,) = answer.outputs
    assert (output.name, output.datatype, output.shape) == ("logits", Datatype.BYTES, (2, 2))
    assert output.array.tolist() == [
        [b"5.000000:2:blue", b"2.500000:1:green"],
        [b"10.000000:0:red", b"0.000000:1:green"],
    ]
    assert (answer.model, answer.id) == (given.model, "an id")
    assert with_classes(given, (RequestedOutput("logits", 1000),)).outputs[0].shape == (2, 3)


def test_output_of_several_axes_is_ranked_flat() -> None:
    given = response([0, 2.5, 5], shape=(3, 1, 1))
    (output,) = with_classes(given, (RequestedOutput("logits", 1),)).outputs
    assert output.array.tolist() == [[b"5.000000:2:blue"]]


def test_unlabelled_class_has_its_index_and_nan_ranks_last() -> None:
    given = response([10, 10, np.nan, 1, 2], offset=1, shape=(5,))
    (output,) = with_classes(given, (RequestedOutput("logits", 5),)).outputs
    assert output.array.tolist() == [
        [b"10.000000:0:0", b"10.000000:1:red", b"2.000000:4:4", b"1.000000:3:blue", b"nan:2:green"]
    ]


def test_a_tensor_that_is_requested_as_it_is_stays() -> None:
    given = response([0, 2.5, 5])
    assert with_classes(given, ()) is given
    assert with_classes(given, (RequestedOutput("logits"),)) is given
