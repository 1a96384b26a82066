"""The exception hierarchy matches its drawing, and every transport maps all of it."""

from __future__ import annotations

import json
import re

import pytest
from grpc import StatusCode

import schemas.errors
from auth.limiting.lockout import SignInBlocked
from auth.signing.verifier import UnknownKey
from auth.store.sessions import RefreshReused
from observability.metrics.metrics import Metrics
from schemas.errors import (
    CallerError,
    CapacityError,
    ErrorCode,
    InsufficientScope,
    InvalidParameter,
    NotReady,
    Overloaded,
    RateLimited,
    ServerFault,
    ServiceError,
    Unauthenticated,
    Violation,
)
from schemas.http.problem import Problem
from service.settings import CompatibilitySettings
from service.transport.grpc import errors as grpc_errors
from service.transport.http.compat import torchserve
from service.transport.http.compat.registration import error_formats
from service.transport.http.middleware.error_formats import V2, error_format_at
from service.transport.http.middleware.errors import (
    OTHERS_STATUS,
    PROBLEM_TYPE,
    STATUS,
    TITLES,
    formatted_response,
    problem_response,
)


def everything(root: type[ServiceError] = ServiceError) -> list[type[ServiceError]]:
    """The class and all its subclasses."""
    return [root, *(found for child in root.__subclasses__() for found in everything(child))]


def tree() -> list[type[ServiceError]]:
    """The classes of the hierarchy, without subclasses defined elsewhere."""
    return [kind for kind in everything() if kind.__module__ == schemas.errors.__name__]


GROUPS = {ServiceError, CallerError, CapacityError, ServerFault}
"""Base classes, which are rarely raised themselves."""
LEAVES = [kind for kind in tree() if kind not in GROUPS]
DRAWN = re.compile(r"^ {4}(?P<depth>[│ ]*)(?:├── |└── )(?P<name>\w+) *(?P<note>.*)$", re.MULTILINE)


def made(kind: type[ServiceError]) -> ServiceError:
    return kind("classify") if kind is InsufficientScope else kind()


def test_error_tree_in_the_docstring_matches_the_classes() -> None:
    drawing = schemas.errors.__doc__ or ""
    path, drawn = ["ServiceError"], {"ServiceError": ""}
    for line in DRAWN.finditer(drawing):
        level = len(line["depth"]) // 4 + 1
        path[level:] = [line["name"]]
        drawn[line["name"]] = path[level - 1]
    assert drawn == {
        kind.__name__: "" if kind is ServiceError else kind.__mro__[1].__name__ for kind in tree()
    }


def test_error_tree_in_the_docstring_gives_every_code() -> None:
    notes = {line["name"]: line["note"] for line in DRAWN.finditer(schemas.errors.__doc__ or "")}
    for kind in LEAVES:
        assert re.match(rf"{kind.code}\b", notes[kind.__name__]), kind


def test_every_error_class_has_a_unique_code() -> None:
    codes = [kind.code for kind in LEAVES]
    assert len(set(codes)) == len(codes)
    assert set(codes) | {ErrorCode.INTERNAL_ERROR} == set(ErrorCode)


def test_derived_error_class_has_the_code_of_its_parent() -> None:
    derived = set(everything()) - set(tree())
    assert {UnknownKey, RefreshReused, SignInBlocked} <= derived
    for kind in derived:
        assert "code" not in vars(kind), kind


def test_every_error_class_has_a_documented_detail() -> None:
    for kind in tree():
        assert kind.__doc__
        detail = made(kind).detail
        assert detail.endswith("."), kind
        assert str(made(kind)) == detail


def test_error_codes_are_lower_case_words() -> None:
    for code in ErrorCode:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
        assert code.name.lower() == code.value


def test_every_code_has_an_http_status() -> None:
    assert set(STATUS) == set(ErrorCode)
    assert set(STATUS.values()) <= set(TITLES)


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_http_status_matches_the_error_family(kind: type[ServiceError]) -> None:
    status = STATUS[kind.code]
    if issubclass(kind, CallerError):
        # Never 5xx: errors of the caller do not count against availability.
        assert 400 <= status < 500
        assert 400 <= OTHERS_STATUS[kind.code] < 500
    elif issubclass(kind, CapacityError):
        assert status in {429, 503, 504}
    else:
        assert status == 500


GRPC_SERVER_FAULTS = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS, StatusCode.OK}
GRPC_LATER = {StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE}


def test_every_code_has_a_grpc_status() -> None:
    assert set(grpc_errors.STATUS) == set(ErrorCode)


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_grpc_status_matches_the_error_family(kind: type[ServiceError]) -> None:
    status = grpc_errors.STATUS[kind.code]
    if issubclass(kind, CallerError):
        assert status not in GRPC_SERVER_FAULTS | GRPC_LATER, "clients send again by themselves"
    elif issubclass(kind, CapacityError):
        assert status in GRPC_LATER | {StatusCode.DEADLINE_EXCEEDED}
    else:
        assert status is StatusCode.INTERNAL


def test_only_not_ready_is_grpc_unavailable() -> None:
    again = [code for code, found in grpc_errors.STATUS.items() if found is StatusCode.UNAVAILABLE]
    assert again == [ErrorCode.NOT_READY]


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_error_carries_its_code_in_grpc_metadata(kind: type[ServiceError]) -> None:
    told = dict(grpc_errors.metadata(made(kind)))
    assert told.pop("error-code") == kind.code
    assert set(told) == ({"retry-after"} if STATUS[kind.code] in {429, 503} else set())
    assert grpc_errors.error_message(made(kind)) == made(kind).detail


def test_grpc_retry_after_is_in_whole_seconds() -> None:
    for retry_after, announced in ((None, "1"), (0.2, "1"), (1, "1"), (4.1, "5")):
        told = dict(grpc_errors.metadata(Overloaded(retry_after=retry_after)))
        assert told["retry-after"] == announced


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_error_is_answered_as_a_problem(kind: type[ServiceError]) -> None:
    response = problem_response(made(kind), "the-id")
    problem = Problem.model_validate_json(bytes(response.body))
    assert response.status_code == problem.status == STATUS[kind.code]
    assert response.headers["content-type"] == PROBLEM_TYPE
    assert response.headers["cache-control"] == "no-store"
    assert (problem.type, problem.title) == ("about:blank", TITLES[problem.status])
    assert (problem.code, problem.request_id) == (kind.code, "the-id")
    assert (problem.errors is not None) is (problem.status == 422)


ALL_ON = CompatibilitySettings(kserve_v1=True, tf_serving=True, torchserve=True, predict=True)
PATHS = {
    "/v2": "error",
    "/v2/models/a/infer": "error",
    "/v1/models/a:predict": "error",
    "/v1/models/a/versions/1:classify": "error",
    "/v1/models/a/labels/b": "error",
    "/v1/models/a/versions/1/metadata": "error",
    "/ping": "message",
    "/predictions/a/1": "message",
    "/predict": None,
    "/v1/models/a": None,
    "/v1/models/a/versions/1/promote": None,
    "/v1/classify": None,
    "/v2x": None,
    "/pinged": None,
}
"""Name of the message member in that protocol; None for problem details."""


@pytest.mark.parametrize(("path", "member"), PATHS.items())
@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_error_has_the_format_of_its_path(
    kind: type[ServiceError], path: str, member: str | None
) -> None:
    error = made(kind)
    error_format = error_format_at(path, (V2, *error_formats(ALL_ON)))
    assert (error_format is None) == (member is None)
    if error_format is not None:
        response = formatted_response(error, error_format)
        assert response.status_code == OTHERS_STATUS[kind.code]
        assert response.headers["content-type"] == "application/json"
        assert json.loads(bytes(response.body))[member] == error.detail


def test_drop_in_paths_use_problems_while_disabled() -> None:
    on = [
        path
        for path in PATHS
        if error_format_at(path, (V2, *error_formats(CompatibilitySettings())))
    ]
    assert on == ["/v2", "/v2/models/a/infer"]


@pytest.mark.parametrize("code", ErrorCode)
def test_other_protocols_have_one_status_for_invalid_input(code: ErrorCode) -> None:
    invalid = STATUS[code] == 422 or code is ErrorCode.UNSUPPORTED_IMAGE
    assert OTHERS_STATUS[code] == (400 if invalid else STATUS[code])


def test_torchserve_has_a_type_for_every_code() -> None:
    assert set(torchserve.TYPES) == set(OTHERS_STATUS) == set(ErrorCode)
    body = torchserve.ERROR_FORMAT.body(404, ErrorCode.MODEL_NOT_FOUND, "No such model.")
    assert body == {"code": 404, "type": "ModelNotFoundException", "message": "No such model."}


@pytest.mark.parametrize(
    "path", ["/v1/models/" + ":" * 60_000 + "/", "/v1/models/" + "a/" * 30_000]
)
def test_very_long_paths_have_no_other_error_format(path: str) -> None:
    assert error_format_at(path, (V2, *error_formats(ALL_ON))) is None


def test_http_retry_after_is_in_whole_seconds() -> None:
    for kind in (RateLimited, Overloaded, NotReady):
        for retry_after, announced in ((None, "1"), (0.2, "1"), (1, "1"), (4.1, "5")):
            response = problem_response(kind(retry_after=retry_after), "id")
            assert response.headers["retry-after"] == announced


def test_authentication_errors_carry_a_bearer_challenge() -> None:
    challenge = "www-authenticate"
    bare = problem_response(Unauthenticated(), "id").headers[challenge]
    assert bare == 'Bearer realm="potoo"'
    stale = problem_response(Unauthenticated("The access token has expired."), "id")
    assert stale.headers[challenge] == 'Bearer realm="potoo", error="invalid_token"'
    weak = problem_response(InsufficientScope("admin"), "id").headers[challenge]
    assert weak == 'Bearer realm="potoo", error="insufficient_scope", scope="admin"'


def test_violations_are_listed_with_their_pointers() -> None:
    error = InvalidParameter(violations=(Violation("/query/top_k", "too large"),))
    body = json.loads(bytes(problem_response(error, "id").body))
    assert body["errors"] == [{"pointer": "/query/top_k", "detail": "too large"}]
    assert set(body) == {"type", "title", "status", "detail", "code", "request_id", "errors"}


def test_every_code_has_a_series_before_the_first_error() -> None:
    metrics = Metrics()
    metrics.preset_errors(ErrorCode)
    for code in ErrorCode:
        assert metrics.registry.get_sample_value("potoo_errors_total", {"code": code}) == 0
