"""Exception hierarchy, independent of HTTP and gRPC: each transport maps ``ErrorCode``.

::

    ServiceError
    ├── CallerError                 the request is at fault; repeating it fails again
    │   ├── InvalidRequest          invalid_request, with the invalid fields
    │   │   ├── InvalidParameter    invalid_parameter
    │   │   ├── InvalidTensor       invalid_tensor
    │   │   └── UpdateRefused       update_refused
    │   ├── Unauthenticated         unauthenticated
    │   │   └── InvalidCredentials  invalid_credentials
    │   ├── InsufficientScope       insufficient_scope
    │   ├── ModelForbidden          model_forbidden
    │   ├── SiteForbidden           site_forbidden
    │   ├── CrossOriginRefused      cross_origin_refused
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
    └── ServerFault                 the server is at fault
        └── InferenceFailed         inference_failed

``detail`` is shown to callers: it never contains a path, module name, secret or personal data.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, NamedTuple


class ErrorCode(StrEnum):
    """Stable error codes for programs, the same in every protocol."""

    INVALID_REQUEST = "invalid_request"
    INVALID_PARAMETER = "invalid_parameter"
    INVALID_TENSOR = "invalid_tensor"
    UPDATE_REFUSED = "update_refused"
    UNAUTHENTICATED = "unauthenticated"
    INVALID_CREDENTIALS = "invalid_credentials"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    MODEL_FORBIDDEN = "model_forbidden"
    SITE_FORBIDDEN = "site_forbidden"
    CROSS_ORIGIN_REFUSED = "cross_origin_refused"
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
    """An invalid field: its JSON pointer (RFC 6901), such as ``/query/top_k``, and the reason."""

    pointer: str
    detail: str


class ServiceError(Exception):
    """Base class of all errors that are reported to callers."""

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

        ``expected_wait``: estimated wait in seconds, if it was the reason of the refusal.
        """
        self.detail = detail or self.default_detail
        self.violations = violations
        self.retry_after = retry_after
        self.expected_wait = expected_wait
        super().__init__(self.detail)


class CallerError(ServiceError):
    """The request is at fault; repeating it fails again."""

    code = ErrorCode.INVALID_REQUEST
    default_detail = "The request cannot be understood."


class InvalidRequest(CallerError):
    """The request is malformed: encoding, framing, missing or repeated parts."""


class InvalidParameter(InvalidRequest):
    """A value is missing or out of range; ``violations`` lists the fields."""

    code = ErrorCode.INVALID_PARAMETER
    default_detail = "Some values of the request are not valid."


class InvalidTensor(InvalidRequest):
    """A tensor's shape or datatype does not match its data or the model."""

    code = ErrorCode.INVALID_TENSOR
    default_detail = "The tensors do not fit the model."


class UpdateRefused(InvalidRequest):
    """The update of a site, its sums or gradients, cannot be what its photos gave."""

    code = ErrorCode.UPDATE_REFUSED
    default_detail = "The update of the site is refused."

    def __init__(self, fault: str = "", detail: str | None = None, pointer: str = "") -> None:
        """``fault``: its name, in front of the reason; ``pointer``: to the part at fault."""
        self.fault = fault
        named = (Violation(f"/body{pointer}", f"{fault}: {detail}"),) if fault else ()
        super().__init__(detail, violations=named)


class Unauthenticated(CallerError):
    """The access token is missing, invalid, expired or revoked."""

    code = ErrorCode.UNAUTHENTICATED
    default_detail = "A valid access token is needed."


class InvalidCredentials(Unauthenticated):
    """The name or secret is wrong, or the account is disabled."""

    code = ErrorCode.INVALID_CREDENTIALS
    default_detail = "The name or the password is wrong."


class InsufficientScope(CallerError):
    """The token is valid but lacks the required scope."""

    code = ErrorCode.INSUFFICIENT_SCOPE
    default_detail = "The access token does not allow this."

    def __init__(self, scope: str) -> None:
        """``scope``: the required scope."""
        self.scope = scope
        super().__init__(f"This needs the scope '{scope}'.")


class ModelForbidden(CallerError):
    """The account is restricted to other models."""

    code = ErrorCode.MODEL_FORBIDDEN
    default_detail = "This account may not use that model."


class SiteForbidden(CallerError):
    """The account may not act for the site, or is not the owner."""

    code = ErrorCode.SITE_FORBIDDEN
    default_detail = "This account may not act for that site."


class CrossOriginRefused(CallerError):
    """A browser asks for a call of a web page of another origin that is not allowed."""

    code = ErrorCode.CROSS_ORIGIN_REFUSED
    default_detail = "Pages of other origins may not call."


class NotFound(CallerError):
    """The resource does not exist."""

    code = ErrorCode.NOT_FOUND
    default_detail = "There is no such resource."


class ModelNotFound(NotFound):
    """No model with this name is served."""

    code = ErrorCode.MODEL_NOT_FOUND
    default_detail = "No model of that name is served."


class MethodNotAllowed(CallerError):
    """The resource exists but does not support this method."""

    code = ErrorCode.METHOD_NOT_ALLOWED
    default_detail = "This method is not allowed here."


class Conflict(CallerError):
    """The request conflicts with the current state: a name is taken, a version is in use."""

    code = ErrorCode.CONFLICT
    default_detail = "The request conflicts with the current state."


class ModelNotChosen(CallerError):
    """The call names no model, and the server has several models but no default."""

    code = ErrorCode.MODEL_NOT_CHOSEN
    default_detail = "Name a model; or choose a default with 'potoo models default NAME'."
    MOST = 20
    """Maximum number of names listed: a gRPC status message holds a few kilobytes."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        """``names``: the models that the caller may use."""
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
    """The Accept header excludes every representation that the server has."""

    code = ErrorCode.NOT_ACCEPTABLE
    default_detail = "Only application/json is available, which the Accept header excludes."


class UploadTimeout(CallerError):
    """The request was received too slowly."""

    code = ErrorCode.UPLOAD_TIMEOUT
    default_detail = "The request did not arrive in time."


class PayloadTooLarge(CallerError):
    """More bytes or parts than allowed."""

    code = ErrorCode.PAYLOAD_TOO_LARGE
    default_detail = "The request is too large."


class ImageTooLarge(PayloadTooLarge):
    """More pixels or frames than allowed, according to the image's header."""

    code = ErrorCode.IMAGE_TOO_LARGE
    default_detail = "The image has too many pixels."


class UnsupportedMediaType(CallerError):
    """The request's content type or encoding is not supported."""

    code = ErrorCode.UNSUPPORTED_MEDIA_TYPE
    default_detail = "This content type is not supported."


class UnsupportedImage(UnsupportedMediaType):
    """The bytes are not an image in a supported format."""

    code = ErrorCode.UNSUPPORTED_IMAGE
    default_detail = "Not a JPEG, PNG, WebP, GIF, BMP or TIFF image."


class InvalidImage(CallerError):
    """The format is known, but the data is truncated or damaged."""

    code = ErrorCode.INVALID_IMAGE
    default_detail = "The image is truncated or damaged."


class Unsupported(CallerError):
    """The protocol defines the call, but this server does not implement it."""

    code = ErrorCode.UNSUPPORTED
    default_detail = "This server does not support this call."


class CapacityError(ServiceError):
    """The same request may succeed later."""

    code = ErrorCode.OVERLOADED
    default_detail = "The server is busy."


class RateLimited(CapacityError):
    """The caller exceeds its request rate."""

    code = ErrorCode.RATE_LIMITED
    default_detail = "Too many requests."


class Overloaded(CapacityError):
    """A bounded queue or buffer is full."""


class NotReady(CapacityError):
    """The server is starting or stopping, or the model fails its canary inference."""

    code = ErrorCode.NOT_READY
    default_detail = "The server is not ready."


class DeadlineExceeded(CapacityError):
    """The deadline passed or would pass, so the work was cancelled."""

    code = ErrorCode.DEADLINE_EXCEEDED
    default_detail = "The time allowed for this request ran out."


class ServerFault(ServiceError):
    """The server is at fault."""

    code = ErrorCode.INTERNAL_ERROR


class InferenceFailed(ServerFault):
    """The inference engine raised, or its output is not finite."""

    code = ErrorCode.INFERENCE_FAILED
    default_detail = "The model failed on this input."
