"""Strict schemas of the custom resources that the manifests use.

kubernetes-validate contains Kubernetes' own schemas; no package that could be locked contains those
of add-ons. These were written from the add-ons' reference pages: KEDA's ScaledObject
(keda.sh/docs/latest/reference/scaledobject-spec, .../scalers/prometheus), the Gateway API
(gateway-api.sigs.k8s.io/reference/spec), Envoy Gateway
(gateway.envoyproxy.io/docs/api/extension_types), cert-manager
(cert-manager.io/docs/reference/api-docs) and the Prometheus operator
(prometheus-operator.dev/docs/api-reference/api).
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
HOST: Schema = {"type": "string", "pattern": r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
"""The Gateway API's (GEP-2257)."""


def one_of(*values: str | int) -> Schema:
    return {"enum": list(values)}


def many(items: Schema, most: int, least: int = 1) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def these(needed: dict[str, Schema], /, **optional: Schema) -> Schema:
    """A JSON schema of an object with exactly these keys."""
    return {
        "type": "object",
        "properties": needed | optional,
        "required": list(needed),
        "additionalProperties": False,
    }


def resource(api_version: str, kind: str, spec: Schema) -> Schema:
    words: Schema = {"type": "object", "additionalProperties": TEXT}
    metadata = these({"name": TEXT}, namespace=TEXT, labels=words, annotations=words)
    return these(
        {
            "apiVersion": one_of(api_version),
            "kind": one_of(kind),
            "metadata": metadata,
            "spec": spec,
        }
    )


def _scaled_object() -> Schema:
    policy = these(
        {"type": one_of("Percent", "Pods"), "value": COUNT, "periodSeconds": COUNT},
    )
    direction = these(
        {"policies": many(policy, 2)},
        stabilizationWindowSeconds=COUNT,
        selectPolicy=one_of("Max", "Min", "Disabled"),
    )
    behaviour = these({}, scaleUp=direction, scaleDown=direction)
    # Values of metadata are always text.
    prometheus = these(
        {
            "type": one_of("prometheus"),
            "name": TEXT,
            "metadata": these(
                {"serverAddress": TEXT, "query": TEXT, "threshold": TEXT},
                ignoreNullValues=one_of("true", "false"),
            ),
        },
        metricType=one_of("AverageValue", "Value"),
        useCachedMetrics={"type": "boolean"},
    )
    cpu = these(
        {
            "type": one_of("cpu"),
            "metricType": one_of("Utilization", "AverageValue"),
            "metadata": these({"value": TEXT}),
        }
    )
    return these(
        {
            "scaleTargetRef": these({"name": TEXT}, apiVersion=TEXT, kind=TEXT),
            "triggers": many({"oneOf": [prometheus, cpu]}, 20),
        },
        pollingInterval={"type": "integer", "minimum": 1},
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        fallback=these(
            {"failureThreshold": COUNT, "replicas": COUNT},
            behavior=one_of("static", "currentReplicas", "currentReplicasIfHigher"),
        ),
        advanced=these({}, horizontalPodAutoscalerConfig=these({}, name=TEXT, behavior=behaviour)),
    )


def _gateway() -> Schema:
    listener = these(
        {"name": TEXT, "port": PORT, "protocol": one_of("HTTP", "HTTPS")},
        hostname=HOST,
        tls=these({"mode": one_of("Terminate"), "certificateRefs": many(these({"name": TEXT}), 1)}),
        allowedRoutes=these({"namespaces": these({"from": one_of("Same", "All")})}),
    )
    return these({"gatewayClassName": TEXT, "listeners": many(listener, 64)})


HEADER_FILTERS = (
    these(
        {
            "type": one_of("RequestHeaderModifier"),
            "requestHeaderModifier": these({"remove": many(TEXT, 16)}),
        }
    ),
    these(
        {
            "type": one_of("ResponseHeaderModifier"),
            "responseHeaderModifier": these(
                {"set": many(these({"name": TEXT, "value": TEXT}), 16)}
            ),
        }
    ),
)
BACKENDS = many(these({"name": TEXT, "port": PORT}), 16)
PARENTS = many(these({"name": TEXT}, sectionName=TEXT, kind=one_of("Gateway")), 32)


def _http_route() -> Schema:
    methods = one_of("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
    path = these({"type": one_of("Exact", "PathPrefix"), "value": TEXT})
    redirect = these(
        {
            "type": one_of("RequestRedirect"),
            # Only these two are in the standard channel of every version.
            "requestRedirect": these({}, scheme=one_of("https"), statusCode=one_of(301, 302)),
        }
    )
    rule = these(
        # The oldest version accepts eight matches and sixteen rules.
        {"matches": many(these({"path": path}, method=methods), 8)},
        filters=many({"oneOf": [*HEADER_FILTERS, redirect]}, 16),
        timeouts=these({}, request=DURATION, backendRequest=DURATION),
        retry=these({}, attempts=COUNT, backoff=DURATION, codes=many(PORT, 16)),
        backendRefs=BACKENDS,
    )
    return these({"parentRefs": PARENTS, "rules": many(rule, 16)}, hostnames=many(HOST, 16))


def _grpc_route() -> Schema:
    match = these({"method": these({}, service=TEXT, method=TEXT)})
    rule = these(
        {"matches": many(match, 8), "backendRefs": BACKENDS},
        filters=many({"oneOf": list(HEADER_FILTERS)}, 16),
    )
    return these({"parentRefs": PARENTS, "rules": many(rule, 16)}, hostnames=many(HOST, 16))


def _targets(*kinds: str) -> Schema:
    group = one_of("gateway.networking.k8s.io")
    return many(these({"group": group, "kind": one_of(*kinds), "name": TEXT}), 16)


def _client_traffic() -> Schema:
    headers = these(
        {},
        preserveXRequestID={"type": "boolean"},
        withUnderscoresAction=one_of("Allow", "RejectRequest", "DropHeader"),
        earlyRequestHeaders=these({}, remove=many(TEXT, 16)),
    )
    connection = these(
        {},
        bufferLimit={"type": "string", "pattern": "^[1-9][0-9]*[KMG]i$"},
        connectionLimit=these({"value": COUNT}),
    )
    return these(
        {"targetRefs": _targets("Gateway")},
        tls=these({}, minVersion=one_of("1.2", "1.3")),
        headers=headers,
        path=these({}, escapedSlashesAction=one_of("RejectRequest", "KeepUnchanged")),
        connection=connection,
        timeout=these({}, http=these({}, idleTimeout=DURATION, requestReceivedTimeout=DURATION)),
    )


def _backend_traffic() -> Schema:
    times = {"interval": DURATION, "timeout": DURATION}
    counts = {"unhealthyThreshold": COUNT, "healthyThreshold": COUNT}
    http = these({"path": TEXT}, expectedStatuses=many(COUNT, 9))
    by_http = these({"type": one_of("HTTP"), "http": http}, **times, **counts)
    by_grpc = these({"type": one_of("GRPC")}, **times, **counts)
    passive = these(
        {},
        splitExternalLocalOriginErrors={"type": "boolean"},
        consecutiveLocalOriginFailures=COUNT,
        consecutive5XxErrors=COUNT,
        interval=DURATION,
        baseEjectionTime=DURATION,
        maxEjectionPercent=COUNT,
    )
    health = these({}, panicThreshold=COUNT, active={"oneOf": [by_http, by_grpc]}, passive=passive)
    return these(
        {"targetRefs": _targets("HTTPRoute", "GRPCRoute")},
        loadBalancer=these({"type": one_of("LeastRequest", "RoundRobin")}),
        timeout=these({}, http=these({}, connectionIdleTimeout=DURATION)),
        healthCheck=health,
    )


def _issuer() -> Schema:
    solver = these({"http01": these({"gatewayHTTPRoute": these({"parentRefs": PARENTS})})})
    return these(
        {
            "acme": these(
                {
                    "server": {"type": "string", "pattern": "^https://"},
                    "privateKeySecretRef": these({"name": TEXT}),
                    "solvers": many(solver, 1),
                },
                email=TEXT,
            )
        }
    )


def _service_monitor() -> Schema:
    period: Schema = {"type": "string", "pattern": "^[0-9]+(ms|s|m)$"}
    endpoint = these({"port": TEXT}, path=TEXT, interval=period, scrapeTimeout=period)
    labels: Schema = {"type": "object", "additionalProperties": TEXT}
    return these(
        {"selector": these({"matchLabels": labels}), "endpoints": many(endpoint, 9)}, jobLabel=TEXT
    )


def _prometheus_rule() -> Schema:
    words: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
    alert = these({"alert": TEXT, "expr": TEXT}, labels=words, annotations=words)
    alert["properties"] |= {"for": TEXT, "keep_firing_for": TEXT}
    record = these({"record": TEXT, "expr": TEXT}, labels=words)
    group = these({"name": TEXT, "rules": many({"oneOf": [alert, record]}, 999)}, interval=TEXT)
    return these({"groups": many(group, 99, least=0)})


SCHEMAS = {
    "ScaledObject": resource("keda.sh/v1alpha1", "ScaledObject", _scaled_object()),
    "Gateway": resource("gateway.networking.k8s.io/v1", "Gateway", _gateway()),
    "HTTPRoute": resource("gateway.networking.k8s.io/v1", "HTTPRoute", _http_route()),
    "GRPCRoute": resource("gateway.networking.k8s.io/v1", "GRPCRoute", _grpc_route()),
    "ClientTrafficPolicy": resource(
        "gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy", _client_traffic()
    ),
    "BackendTrafficPolicy": resource(
        "gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", _backend_traffic()
    ),
    "Issuer": resource("cert-manager.io/v1", "Issuer", _issuer()),
    "ServiceMonitor": resource("monitoring.coreos.com/v1", "ServiceMonitor", _service_monitor()),
    "PrometheusRule": resource("monitoring.coreos.com/v1", "PrometheusRule", _prometheus_rule()),
}
