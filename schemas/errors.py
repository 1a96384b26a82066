"""The one error tree. It knows no HTTP and no gRPC: each transport maps ``ErrorCode`` to its own.

::

    ServiceError
    ├── CallerError                 the caller can mend it; the same request fails again
    │   ├── InvalidRequest          invalid_request, with the places that are wrong
    │   │   ├── InvalidParameter    invalid_parameter
    │   │   └── InvalidTensor       invalid_tensor
    │   ├── Unauthenticated         unauthenticated
    │   │   └── InvalidCredentials  invalid_credentials
    │   ├── InsufficientScope       insufficient_scope
    │   ├── ModelForbidden          model_forbidden
    │   ├── NotFound                not_found
    │   │   └── ModelNotFound       model_not_found
    │   ├── MethodNotAllowed        method_not_allowed
    │   ├── Conflict                conflict
    │   ├── ModelNotChosen          model_not_chosen
    │   ├── NotAcceptable           not_acceptable
    │   ├── UploadTimeout           upload_timeout
    │   ├── PayloadTooLarge         payload_too_large
    │   │   └── ImageTooLarge       image_too_large
    │   ├── UnsupportedMediaType    unsupported_media_type
    │   │   └── UnsupportedImage    unsupported_image
    │   ├── InvalidImage            invalid_image
    │   └── Unsupported             unsupported
    ├── CapacityError               the same request may succeed later
    │   ├── RateLimited             rate_limited
    │   ├── Overloaded              overloaded
    │   ├── NotReady                not_ready
    │   └── DeadlineExceeded        deadline_exceeded
    └── ServerFault                 ours to mend
        └── InferenceFailed         inference_failed

``detail`` is shown to callers: it never holds a path, a module name, a secret or anybody's data.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, NamedTuple


class ErrorCode(StrEnum):
    """Stable names that clients may branch on, the same in every protocol."""

    INVALID_REQUEST = "invalid_request"
    INVALID_PARAMETER = "invalid_parameter"
    INVALID_TENSOR = "invalid_tensor"
    UNAUTHENTICATED = "unauthenticated"
    INVALID_CREDENTIALS = "invalid_credentials"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    MODEL_FORBIDDEN = "model_forbidden"
    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    MODEL_NOT_CHOSEN = "model_not_chosen"
    NOT_ACCEPTABLE = "not_acceptable"
    UPLOAD_TIMEOUT = "upload_timeout"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    IMAGE_TOO_LARGE = "image_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNSUPPORTED_IMAGE = "unsupported_image"
    INVALID_IMAGE = "invalid_image"
    UNSUPPORTED = "unsupported"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    NOT_READY = "not_ready"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    INFERENCE_FAILED = "inference_failed"
    INTERNAL_ERROR = "internal_error"


class Violation(NamedTuple):
    """One wrong place in a request: a JSON pointer (RFC 6901) such as ``/query/top_k``, and why."""

    pointer: str
    detail: str


class ServiceError(Exception):
    """Whatever Potoo refuses or fails to do. Catch this one to catch them all."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL_ERROR
    default_detail: ClassVar[str] = "Something went wrong on the server."

    def __init__(
        self,
        detail: str | None = None,
        *,
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
        expected_wait: float | None = None,
    ) -> None:
        """``retry_after``: seconds after which the same request may succeed.

        ``expected_wait``: seconds that it would have waited, where that is why it was refused.
        """
        self.detail = detail or self.default_detail
        self.violations = violations
        self.retry_after = retry_after
        self.expected_wait = expected_wait
        super().__init__(self.detail)


class CallerError(ServiceError):
    """The caller can mend it; the same request fails again."""

    code = ErrorCode.INVALID_REQUEST
    default_detail = "The request cannot be understood."


class InvalidRequest(CallerError):
    """The shape of the request is wrong: encoding, framing, missing or repeated parts."""


class InvalidParameter(InvalidRequest):
    """A value is missing or out of range; ``violations`` says where."""

    code = ErrorCode.INVALID_PARAMETER
    default_detail = "Some values of the request are not valid."


class InvalidTensor(InvalidRequest):
    """A tensor does not fit its own data, or not the model."""

    code = ErrorCode.INVALID_TENSOR
    default_detail = "The tensors do not fit the model."


class Unauthenticated(CallerError):
    """No access token, or one that does not hold."""

    code = ErrorCode.UNAUTHENTICATED
    default_detail = "A valid access token is needed."


class InvalidCredentials(Unauthenticated):
    """Name and secret do not belong together, or the account is disabled."""

    code = ErrorCode.INVALID_CREDENTIALS
    default_detail = "The name or the password is wrong."


class InsufficientScope(CallerError):
    """The token holds, but does not allow this."""

    code = ErrorCode.INSUFFICIENT_SCOPE
    default_detail = "The access token does not allow this."

    def __init__(self, scope: str) -> None:
        """``scope``: the scope that would have been enough."""
        self.scope = scope
        super().__init__(f"This needs the scope '{scope}'.")


class ModelForbidden(CallerError):
    """The account may use some models, and not this one."""

    code = ErrorCode.MODEL_FORBIDDEN
    default_detail = "This account may not use that model."


class NotFound(CallerError):
    """There is nothing of that name."""

    code = ErrorCode.NOT_FOUND
    default_detail = "There is nothing here."


class ModelNotFound(NotFound):
    """No model of that name is served."""

    code = ErrorCode.MODEL_NOT_FOUND
    default_detail = "No model of that name is served."


class MethodNotAllowed(CallerError):
    """The resource exists but does not take this method."""

    code = ErrorCode.METHOD_NOT_ALLOWED
    default_detail = "This method is not allowed here."


class Conflict(CallerError):
    """It contradicts how things are: a name is taken, something is needed still."""

    code = ErrorCode.CONFLICT
    default_detail = "This contradicts how things are."


class ModelNotChosen(CallerError):
    """The call names no model, and of several none is chosen to answer then."""

    code = ErrorCode.MODEL_NOT_CHOSEN
    default_detail = "Name a model; or choose a default with 'potoo models default NAME'."
    MOST = 20
    """Names that are told: a status line of gRPC holds a few kilobytes."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        """``names``: the models that the caller may use, and no others."""
        shown = ", ".join(names[: self.MOST])
        if len(names) > self.MOST:
            shown += f" and {len(names) - self.MOST} more"
        super().__init__(
            f"Name one of these models: {shown}; or choose a default with "
            "'potoo models default NAME'."
            if names
            else None
        )


class NotAcceptable(CallerError):
    """The caller accepts no representation that we have."""

    code = ErrorCode.NOT_ACCEPTABLE
    default_detail = "This is answered as application/json, which the Accept header rules out."


class UploadTimeout(CallerError):
    """The request came too slowly."""

    code = ErrorCode.UPLOAD_TIMEOUT
    default_detail = "The request did not arrive in time."


class PayloadTooLarge(CallerError):
    """More bytes or parts than allowed."""

    code = ErrorCode.PAYLOAD_TOO_LARGE
    default_detail = "The request is too large."


class ImageTooLarge(PayloadTooLarge):
    """More pixels or frames than allowed, as its header states."""

    code = ErrorCode.IMAGE_TOO_LARGE
    default_detail = "The image has too many pixels."


class UnsupportedMediaType(CallerError):
    """The request's content type or encoding is not one that we take."""

    code = ErrorCode.UNSUPPORTED_MEDIA_TYPE
    default_detail = "This content type is not supported."


class UnsupportedImage(UnsupportedMediaType):
    """The bytes are no image of a format that we take."""

    code = ErrorCode.UNSUPPORTED_IMAGE
    default_detail = "Not a JPEG, PNG, WebP, GIF, BMP or TIFF image."


class InvalidImage(CallerError):
    """The format is known, but the data is truncated or damaged."""

    code = ErrorCode.INVALID_IMAGE
    default_detail = "The image is truncated or damaged."


class Unsupported(CallerError):
    """The protocol knows it, this server does not offer it."""

    code = ErrorCode.UNSUPPORTED
    default_detail = "This server does not offer that."


class CapacityError(ServiceError):
    """The same request may succeed later."""

    code = ErrorCode.OVERLOADED
    default_detail = "The server is busy."


class RateLimited(CapacityError):
    """This caller asks too often."""

    code = ErrorCode.RATE_LIMITED
    default_detail = "Too many requests."


class Overloaded(CapacityError):
    """A bounded queue or buffer is full."""


class NotReady(CapacityError):
    """Starting, stopping, or the model does not answer its canary."""

    code = ErrorCode.NOT_READY
    default_detail = "The server is not ready."


class DeadlineExceeded(CapacityError):
    """The answer would come too late, so it was not worked on any further."""

    code = ErrorCode.DEADLINE_EXCEEDED
    default_detail = "The time allowed for this request ran out."


class ServerFault(ServiceError):
    """Ours to mend."""

    code = ErrorCode.INTERNAL_ERROR


class InferenceFailed(ServerFault):
    """The engine raised, or answered numbers that are not finite."""

    code = ErrorCode.INFERENCE_FAILED
    default_detail = "The model failed on this input."
