"""Network access of the pods: ports, network policies, routes of the gateway."""

from __future__ import annotations

import json
import re

from schemas.pb import open_inference_pb2, potoo_pb2
from service.transport.http.server.upgrading import STREAM_PATH
from tests.support.deploy.manifest_files import ROOT, committed, env_file, only

FILES = committed()
TEMPLATE = only("Deployment", FILES["base/deployment.yaml"])["spec"]["template"]
LABELS = TEMPLATE["metadata"]["labels"]


def test_ingress_is_limited_to_gateway_and_prometheus() -> None:
    (policy,) = FILES["base/network-policy.yaml"]
    spec = policy["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert spec["podSelector"]["matchLabels"].items() <= LABELS.items()
    doors = {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]: {
            port["port"] for port in rule["ports"]
        }
        for rule in spec["ingress"]
        for peer in rule["from"]
    }
    assert doors == {"envoy-gateway-system": {"http", "grpc"}, "monitoring": {"http"}}


def test_egress_is_limited_to_named_destinations() -> None:
    (policy,) = FILES["base/network-policy.yaml"]
    out = policy["spec"]["egress"]
    assert all(rule.get("to") and rule.get("ports") for rule in out)
    assert {port["port"] for rule in out for port in rule["ports"]} == {53, 443, 5432, 6379}
    for rule in out:
        for peer in rule["to"]:
            if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                # Neither the cloud's metadata nor private networks.
                assert {"169.254.0.0/16", "10.0.0.0/8"} <= set(peer["ipBlock"]["except"])


def test_service_and_monitor_ports_match_the_container() -> None:
    (container,) = TEMPLATE["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8000, "grpc": int(env_file("base/settings.env")["POTOO_GRPC_PORT"])}
    for service in FILES["base/services.yaml"]:
        assert service["spec"]["selector"].items() <= LABELS.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()
    headless = only("Service", FILES["base/services.yaml"], "potoo-grpc")
    assert headless["spec"]["clusterIP"] == "None"
    # A second Service with the scraped port would count every pod twice.
    (monitor,) = FILES["components/monitoring/servicemonitor.yaml"]
    (endpoint,) = monitor["spec"]["endpoints"]
    scraped = [
        service
        for service in FILES["base/services.yaml"]
        if endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    ]
    assert len(scraped) == 1
    assert endpoint["interval"] == "5s"
    job = scraped[0]["metadata"]["labels"][monitor["spec"]["jobLabel"]]
    assert job == "potoo", "alerts and dashboards look for it"


OPERATORS = {
    *("admin", "cameras", "ingest", "metrics", "models:write", "sensors", "teach", "train"),
}
"""Scopes of operations that the gateway and the ingress keep from the outside. Samples of sensors
enter at ports of their own."""


def is_routed(method: str, path: str) -> bool:
    (route,) = FILES["components/gateway/http-route.yaml"]
    for rule in route["spec"]["rules"]:
        for match in rule["matches"]:
            value, kind = match["path"]["value"], match["path"]["type"]
            fits = path == value or (
                kind == "PathPrefix" and path.startswith(value.removesuffix("/") + "/")
            )
            if fits and match["method"] == method:
                return True
    return False


def test_gateway_routes_only_non_administrative_operations() -> None:
    document = json.loads((ROOT.parents[1] / "tests/contract/openapi.json").read_text())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            scopes = {
                scope
                for one in operation.get("security", [])
                for of in one.values()
                for scope in of
            }
            closed = bool(scopes & OPERATORS) or path == "/metrics"
            real = re.sub(r"\{\w+\}", "x", path)
            assert is_routed(method.upper(), real) is not closed, (method, path)
    for path in ("/", "/static/app.js", "/docs", "/openapi.json", STREAM_PATH):
        assert is_routed("GET", path)


def test_gateway_does_not_end_streams() -> None:
    (route,) = FILES["components/gateway/http-route.yaml"]
    for rule in route["spec"]["rules"]:
        is_stream = any(match["path"]["value"] == STREAM_PATH for match in rule["matches"])
        assert (rule["timeouts"]["request"] == "0s") is is_stream


def is_open_on_one_node(path: str) -> bool:
    (ingress,) = FILES["overlays/single/ingress.yaml"]
    (rule,) = ingress["spec"]["rules"]
    return any(
        path == one["path"]
        or (one["pathType"] == "Prefix" and path.startswith(one["path"].removesuffix("/") + "/"))
        for one in rule["http"]["paths"]
    )


def test_ingress_of_one_node_routes_only_non_administrative_paths() -> None:
    document = json.loads((ROOT.parents[1] / "tests/contract/openapi.json").read_text())
    for path, methods in document["paths"].items():
        real = re.sub(r"\{\w+\}", "imagenet", path)
        scopes = {
            scope
            for operation in methods.values()
            for one in operation.get("security", [])
            for of in one.values()
            for scope in of
        }
        closed = bool(scopes & OPERATORS) or path == "/metrics"
        # Paths of versions begin with the model's name, as paths that change it.
        if closed or not path.startswith("/v1/models/"):
            assert is_open_on_one_node(real) is not closed, path
    for path in (
        "/",
        "/static/app.js",
        "/docs",
        "/openapi.json",
        "/v1/models/imagenet",
        STREAM_PATH,
    ):
        assert is_open_on_one_node(path)
    assert not is_open_on_one_node("/anything")


def test_gateway_routes_no_grpc_model_control() -> None:
    (route,) = FILES["components/gateway/grpc-route.yaml"]
    named = [match["method"] for rule in route["spec"]["rules"] for match in rule["matches"]]
    inference = open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    routed = {one["method"] for one in named if one["service"] == inference.full_name}
    assert routed == {method.name for method in inference.methods} - {
        "RepositoryModelLoad",
        "RepositoryModelUnload",
    }
    whole = {one["service"] for one in named if "method" not in one}
    ours = {service.full_name for service in potoo_pb2.DESCRIPTOR.services_by_name.values()}
    assert whole == {*ours, "grpc.health.v1.Health"}


def test_every_route_has_a_tls_listener() -> None:
    (gateway,) = FILES["components/gateway/gateway.yaml"]
    listeners = {listener["name"]: listener for listener in gateway["spec"]["listeners"]}
    (issuer,) = FILES["components/gateway/issuer.yaml"]
    issued_by = gateway["metadata"]["annotations"]["cert-manager.io/issuer"]
    assert issued_by == issuer["metadata"]["name"]
    for file in ("http-route", "grpc-route"):
        (route,) = FILES[f"components/gateway/{file}.yaml"]
        (parent,) = route["spec"]["parentRefs"]
        listener = listeners[parent["sectionName"]]
        assert listener["protocol"] == "HTTPS"
        assert route["spec"]["hostnames"] == [listener["hostname"]]
    # On one listener an HTTPRoute and a GRPCRoute of the same name exclude each other.
    assert listeners["https"]["hostname"] != listeners["grpc"]["hostname"]
    plain = [one for one in listeners.values() if one["protocol"] == "HTTP"]
    (redirect,) = FILES["components/gateway/http-redirect.yaml"]
    assert [one["name"] for one in plain] == [redirect["spec"]["parentRefs"][0]["sectionName"]]
    assert "backendRefs" not in redirect["spec"]["rules"][0]


def test_gateway_notices_draining_and_ejects_no_overloaded_pod() -> None:
    delay = float(env_file("base/settings.env")["POTOO_DRAIN_DELAY_SECONDS"])
    policies = FILES["components/envoy-gateway/backends.yaml"]
    targets = {
        (target["kind"], target["name"])
        for policy in policies
        for target in policy["spec"]["targetRefs"]
    }
    assert targets == {("HTTPRoute", "potoo"), ("GRPCRoute", "potoo")}
    for policy in policies:
        active, passive = (policy["spec"]["healthCheck"][name] for name in ("active", "passive"))
        seen = active["unhealthyThreshold"] * (
            int(active["interval"].removesuffix("s")) + int(active["timeout"].removesuffix("s"))
        )
        assert seen < delay
        assert passive["consecutive5XxErrors"] >= 1000
        assert policy["spec"]["loadBalancer"]["type"] == "LeastRequest"
