from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
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

class ItemError(_message.Message):
    __slots__ = ("code", "detail", "errors")
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    code: str
    detail: str
    errors: _containers.RepeatedCompositeFieldContainer[ItemViolation]
    def __init__(self, code: _Optional[str] = ..., detail: _Optional[str] = ..., errors: _Optional[_Iterable[_Union[ItemViolation, _Mapping]]] = ...) -> None: ...

class ItemViolation(_message.Message):
    __slots__ = ("pointer", "detail")
    POINTER_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    pointer: str
    detail: str
    def __init__(self, pointer: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class ClassifyTextRequest(_message.Message):
    __slots__ = ("texts", "model", "top_k")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    model: str
    top_k: int
    def __init__(self, texts: _Optional[_Iterable[str]] = ..., model: _Optional[str] = ..., top_k: _Optional[int] = ...) -> None: ...

class ClassifyTextResponse(_message.Message):
    __slots__ = ("results", "model_name", "model_version", "calibrated")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    CALIBRATED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TextResult]
    model_name: str
    model_version: int
    calibrated: bool
    def __init__(self, results: _Optional[_Iterable[_Union[TextResult, _Mapping]]] = ..., model_name: _Optional[str] = ..., model_version: _Optional[int] = ..., calibrated: _Optional[bool] = ...) -> None: ...

class TextResult(_message.Message):
    __slots__ = ("probabilities", "class_names", "abstained", "summary", "labels_present", "error")
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    ABSTAINED_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LABELS_PRESENT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    class_names: _containers.RepeatedScalarFieldContainer[str]
    abstained: bool
    summary: Summary
    labels_present: _containers.RepeatedScalarFieldContainer[str]
    error: ItemError
    def __init__(self, probabilities: _Optional[_Iterable[float]] = ..., class_names: _Optional[_Iterable[str]] = ..., abstained: _Optional[bool] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ..., labels_present: _Optional[_Iterable[str]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("texts", "model")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    model: str
    def __init__(self, texts: _Optional[_Iterable[str]] = ..., model: _Optional[str] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("vectors", "model_name", "model_version")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    vectors: Tensor
    model_name: str
    model_version: int
    def __init__(self, vectors: _Optional[_Union[Tensor, _Mapping]] = ..., model_name: _Optional[str] = ..., model_version: _Optional[int] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("name", "datatype", "shape", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class PrepareImageRequest(_message.Message):
    __slots__ = ("image_data", "model", "view")
    class View(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TENSOR: _ClassVar[PrepareImageRequest.View]
        PNG: _ClassVar[PrepareImageRequest.View]
    TENSOR: PrepareImageRequest.View
    PNG: PrepareImageRequest.View
    IMAGE_DATA_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    image_data: bytes
    model: str
    view: PrepareImageRequest.View
    def __init__(self, image_data: _Optional[bytes] = ..., model: _Optional[str] = ..., view: _Optional[_Union[PrepareImageRequest.View, str]] = ...) -> None: ...

class PreparedImage(_message.Message):
    __slots__ = ("model_name", "model_version", "tensor", "layout", "colour", "png")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    COLOUR_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    model_version: int
    tensor: Tensor
    layout: str
    colour: str
    png: bytes
    def __init__(self, model_name: _Optional[str] = ..., model_version: _Optional[int] = ..., tensor: _Optional[_Union[Tensor, _Mapping]] = ..., layout: _Optional[str] = ..., colour: _Optional[str] = ..., png: _Optional[bytes] = ...) -> None: ...

class Rows(_message.Message):
    __slots__ = ("values", "columns", "column_names")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    COLUMN_NAMES_FIELD_NUMBER: _ClassVar[int]
    values: bytes
    columns: int
    column_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[bytes] = ..., columns: _Optional[int] = ..., column_names: _Optional[_Iterable[str]] = ...) -> None: ...

class Scaling(_message.Message):
    __slots__ = ("offset", "scale")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    offset: _containers.RepeatedScalarFieldContainer[float]
    scale: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, offset: _Optional[_Iterable[float]] = ..., scale: _Optional[_Iterable[float]] = ...) -> None: ...

class PrepareNumericRequest(_message.Message):
    __slots__ = ("rows", "csv", "arrow", "npy", "scaler", "method", "scaling", "impute", "window", "stride")
    class Method(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        METHOD_UNSPECIFIED: _ClassVar[PrepareNumericRequest.Method]
        STANDARDISE: _ClassVar[PrepareNumericRequest.Method]
        MIN_MAX: _ClassVar[PrepareNumericRequest.Method]
        ROBUST: _ClassVar[PrepareNumericRequest.Method]
    METHOD_UNSPECIFIED: PrepareNumericRequest.Method
    STANDARDISE: PrepareNumericRequest.Method
    MIN_MAX: PrepareNumericRequest.Method
    ROBUST: PrepareNumericRequest.Method
    class Impute(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NONE: _ClassVar[PrepareNumericRequest.Impute]
        MEAN: _ClassVar[PrepareNumericRequest.Impute]
        MEDIAN: _ClassVar[PrepareNumericRequest.Impute]
    NONE: PrepareNumericRequest.Impute
    MEAN: PrepareNumericRequest.Impute
    MEDIAN: PrepareNumericRequest.Impute
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    ARROW_FIELD_NUMBER: _ClassVar[int]
    NPY_FIELD_NUMBER: _ClassVar[int]
    SCALER_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SCALING_FIELD_NUMBER: _ClassVar[int]
    IMPUTE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    rows: Rows
    csv: bytes
    arrow: bytes
    npy: bytes
    scaler: str
    method: PrepareNumericRequest.Method
    scaling: Scaling
    impute: PrepareNumericRequest.Impute
    window: int
    stride: int
    def __init__(self, rows: _Optional[_Union[Rows, _Mapping]] = ..., csv: _Optional[bytes] = ..., arrow: _Optional[bytes] = ..., npy: _Optional[bytes] = ..., scaler: _Optional[str] = ..., method: _Optional[_Union[PrepareNumericRequest.Method, str]] = ..., scaling: _Optional[_Union[Scaling, _Mapping]] = ..., impute: _Optional[_Union[PrepareNumericRequest.Impute, str]] = ..., window: _Optional[int] = ..., stride: _Optional[int] = ...) -> None: ...

class PreparedNumeric(_message.Message):
    __slots__ = ("scaler", "scaler_version", "tensor", "column_names", "nan_counts", "imputed_counts", "scaling")
    SCALER_FIELD_NUMBER: _ClassVar[int]
    SCALER_VERSION_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    COLUMN_NAMES_FIELD_NUMBER: _ClassVar[int]
    NAN_COUNTS_FIELD_NUMBER: _ClassVar[int]
    IMPUTED_COUNTS_FIELD_NUMBER: _ClassVar[int]
    SCALING_FIELD_NUMBER: _ClassVar[int]
    scaler: str
    scaler_version: int
    tensor: Tensor
    column_names: _containers.RepeatedScalarFieldContainer[str]
    nan_counts: _containers.RepeatedScalarFieldContainer[int]
    imputed_counts: _containers.RepeatedScalarFieldContainer[int]
    scaling: Scaling
    def __init__(self, scaler: _Optional[str] = ..., scaler_version: _Optional[int] = ..., tensor: _Optional[_Union[Tensor, _Mapping]] = ..., column_names: _Optional[_Iterable[str]] = ..., nan_counts: _Optional[_Iterable[int]] = ..., imputed_counts: _Optional[_Iterable[int]] = ..., scaling: _Optional[_Union[Scaling, _Mapping]] = ...) -> None: ...

class PrepareTextRequest(_message.Message):
    __slots__ = ("texts", "model", "max_tokens", "padding", "form", "offsets", "hashing")
    class Padding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LONGEST: _ClassVar[PrepareTextRequest.Padding]
        MAX_TOKENS: _ClassVar[PrepareTextRequest.Padding]
        NO_PADDING: _ClassVar[PrepareTextRequest.Padding]
    LONGEST: PrepareTextRequest.Padding
    MAX_TOKENS: PrepareTextRequest.Padding
    NO_PADDING: PrepareTextRequest.Padding
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    HASHING_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    model: str
    max_tokens: int
    padding: PrepareTextRequest.Padding
    form: str
    offsets: bool
    hashing: Hashing
    def __init__(self, texts: _Optional[_Iterable[str]] = ..., model: _Optional[str] = ..., max_tokens: _Optional[int] = ..., padding: _Optional[_Union[PrepareTextRequest.Padding, str]] = ..., form: _Optional[str] = ..., offsets: _Optional[bool] = ..., hashing: _Optional[_Union[Hashing, _Mapping]] = ...) -> None: ...

class Hashing(_message.Message):
    __slots__ = ("dimension", "least", "most")
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    dimension: int
    least: int
    most: int
    def __init__(self, dimension: _Optional[int] = ..., least: _Optional[int] = ..., most: _Optional[int] = ...) -> None: ...

class PreparedText(_message.Message):
    __slots__ = ("model_name", "model_version", "texts", "vectors")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    model_version: int
    texts: _containers.RepeatedCompositeFieldContainer[EncodedText]
    vectors: Tensor
    def __init__(self, model_name: _Optional[str] = ..., model_version: _Optional[int] = ..., texts: _Optional[_Iterable[_Union[EncodedText, _Mapping]]] = ..., vectors: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...

class EncodedText(_message.Message):
    __slots__ = ("ids", "mask", "tokens", "starts", "ends", "text", "truncated")
    IDS_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    ENDS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    mask: _containers.RepeatedScalarFieldContainer[int]
    tokens: _containers.RepeatedScalarFieldContainer[str]
    starts: _containers.RepeatedScalarFieldContainer[int]
    ends: _containers.RepeatedScalarFieldContainer[int]
    text: str
    truncated: bool
    def __init__(self, ids: _Optional[_Iterable[int]] = ..., mask: _Optional[_Iterable[int]] = ..., tokens: _Optional[_Iterable[str]] = ..., starts: _Optional[_Iterable[int]] = ..., ends: _Optional[_Iterable[int]] = ..., text: _Optional[str] = ..., truncated: _Optional[bool] = ...) -> None: ...

class PrepareItemRequest(_message.Message):
    __slots__ = ("id", "image", "numeric", "text")
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    NUMERIC_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    id: str
    image: PrepareImageRequest
    numeric: PrepareNumericRequest
    text: PrepareTextRequest
    def __init__(self, id: _Optional[str] = ..., image: _Optional[_Union[PrepareImageRequest, _Mapping]] = ..., numeric: _Optional[_Union[PrepareNumericRequest, _Mapping]] = ..., text: _Optional[_Union[PrepareTextRequest, _Mapping]] = ...) -> None: ...

class PreparedItem(_message.Message):
    __slots__ = ("id", "image", "numeric", "text", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    NUMERIC_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    image: PreparedImage
    numeric: PreparedNumeric
    text: PreparedText
    error: ItemError
    def __init__(self, id: _Optional[str] = ..., image: _Optional[_Union[PreparedImage, _Mapping]] = ..., numeric: _Optional[_Union[PreparedNumeric, _Mapping]] = ..., text: _Optional[_Union[PreparedText, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...
