from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PredictRequest(_message.Message):
    __slots__ = ("image_data", "model", "top_k")
    IMAGE_DATA_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    image_data: bytes
    model: str
    top_k: int
    def __init__(self, image_data: _Optional[bytes] = ..., model: _Optional[str] = ..., top_k: _Optional[int] = ...) -> None: ...

class Named(_message.Message):
    __slots__ = ("label", "score")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    label: str
    score: float
    def __init__(self, label: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("label", "score", "level", "perhaps")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PERHAPS_FIELD_NUMBER: _ClassVar[int]
    label: str
    score: float
    level: int
    perhaps: Named
    def __init__(self, label: _Optional[str] = ..., score: _Optional[float] = ..., level: _Optional[int] = ..., perhaps: _Optional[_Union[Named, _Mapping]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("probabilities", "class_names", "model_name", "model_version", "abstained", "summary", "labels_present", "calibrated")
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ABSTAINED_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LABELS_PRESENT_FIELD_NUMBER: _ClassVar[int]
    CALIBRATED_FIELD_NUMBER: _ClassVar[int]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    class_names: _containers.RepeatedScalarFieldContainer[str]
    model_name: str
    model_version: int
    abstained: bool
    summary: Summary
    labels_present: _containers.RepeatedScalarFieldContainer[str]
    calibrated: bool
    def __init__(self, probabilities: _Optional[_Iterable[float]] = ..., class_names: _Optional[_Iterable[str]] = ..., model_name: _Optional[str] = ..., model_version: _Optional[int] = ..., abstained: _Optional[bool] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ..., labels_present: _Optional[_Iterable[str]] = ..., calibrated: _Optional[bool] = ...) -> None: ...
