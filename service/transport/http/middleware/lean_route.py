"""Route for the hot path that FastAPI documents but does not run.

FastAPI's machinery costs about as much CPU as the rest of our stack: see
``docs/decisions/lean-route.md``. The declaration is the usual one: ``dependencies`` for the policy,
a Pydantic model for the query, a response model for the OpenAPI document.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Any, cast
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.errors import InvalidParameter, InvalidRequest, NotFound, Violation
from service.transport.dependencies import Requires
from service.transport.http.middleware.disconnect import CancelOnDisconnect
from service.transport.http.middleware.errors import escaped, violations_of
from service.transport.http.middleware.negotiation import require_json

MAX_QUERY_BYTES = 4096
QUERIES_KEPT = 256


class ShortCut:
    """Pure ASGI: passes requests to lean routes around FastAPI's middleware and router.

    All other requests go to ``app``; those with another method get 405 from the router.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        lean = [route for route in routes if isinstance(route, LeanRoute)]
        self._routes = {
            (method, route.path): route
            for route in lean
            if not route.param_convertors
            for method in route.methods or ()
        }
        self._patterns = [route for route in lean if route.param_convertors]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request.

        Raises:
            NotFound: the path contains a newline. Starlette's patterns end with ``$``, which also
                matches before a trailing one: otherwise a path that a proxy blocks would be
                reachable.
        """
        if "\n" in scope.get("path", ""):
            raise NotFound
        route = self._find(scope) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = route
            await route.app(scope, receive, send)

    def _find(self, scope: Scope) -> LeanRoute | None:
        method, path = scope["method"], scope["path"]
        if (route := self._routes.get((method, path))) is not None:
            return route
        for route in self._patterns:
            if method in (route.methods or ()) and (match := route.path_regex.match(path)):
                scope["path_params"] = match.groupdict()
                return route
        return None


class LeanRoute(APIRoute):
    """Route that runs ``endpoint(request, options) -> Response`` after the declared policies.

    ``options`` is a Pydantic model filled from the query string, in which no parameter may be
    unknown or repeated. An endpoint without ``options`` takes the path parameters as strings; its
    Accept header and query are ignored. Add the route to the application itself, not to an
    included router.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **declared: Any) -> None:  # noqa: ANN401 - as APIRoute
        super().__init__(path, endpoint, **declared)
        self._policies = [
            entry.dependency
            for entry in self.dependencies
            if isinstance(entry.dependency, Requires)
        ]
        assert len(self._policies) == len(self.dependencies)  # noqa: S101 - none may be skipped
        self._endpoint = cast("Callable[..., Awaitable[Response]]", endpoint)
        parameters = inspect.signature(endpoint, eval_str=True).parameters
        if "options" not in parameters:
            self.app = self._run_with_path
            return
        annotation = parameters["options"].annotation
        self._options = cast(
            "type[BaseModel]",
            annotation.__origin__ if hasattr(annotation, "__origin__") else annotation,
        )
        self._defaults = self._options()
        # A caller sends the same query with every image.
        self._read = lru_cache(QUERIES_KEPT)(self._parse)
        self.app = self._run

    def negotiate(self, connection: HTTPConnection) -> None:
        """Check the Accept header of a route with ``options``.

        Raises:
            NotAcceptable: it excludes JSON.
        """
        require_json(connection)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        for policy in self._policies:
            await policy(request)
        self.negotiate(request)
        query = scope["query_string"]
        options = self._read(query) if query else self._defaults
        with CancelOnDisconnect(scope):
            response = await self._endpoint(request, options)
        await response(scope, receive, send)

    async def _run_with_path(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        for policy in self._policies:
            await policy(request)
        with CancelOnDisconnect(scope):
            response = await self._endpoint(request, **scope["path_params"])
        await response(scope, receive, send)

    def _parse(self, query: bytes) -> BaseModel:
        if len(query) > MAX_QUERY_BYTES:
            message = "The query string is too long."
            raise InvalidRequest(message)
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        values = dict(pairs)
        if len(values) != len(pairs):
            names = [name for name, _ in pairs]
            repeated = next(name for name in names if names.count(name) > 1)
            fault = Violation(f"/query/{escaped(repeated)}", "Given more than once")
            raise InvalidParameter(violations=(fault,))
        try:
            return self._options.model_validate_strings(values)
        except ValidationError as error:
            raise InvalidParameter(violations=violations_of(error, "/query")) from None
