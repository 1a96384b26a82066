"""Pods in the manifests: restricted security, graceful shutdown, known settings."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from service.settings import Settings, describe_settings, load_settings
from tests.support.deploy.manifest_files import ROOT, Object, committed, env_file, kustomized, only

FILES = committed()
DEPLOYMENT = only("Deployment", FILES["base/deployment.yaml"])
POD = DEPLOYMENT["spec"]["template"]["spec"]
JOB_POD = only("Job", FILES["calibrate/job.yaml"])["spec"]["template"]["spec"]
CRON_JOB = only("CronJob", FILES["components/backup/cronjob.yaml"])
BACKUP_POD = CRON_JOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]
KNOWN = {variable for _, variable, _, _ in describe_settings(Settings.model_construct())}


def container(pod: Object = POD) -> Object:
    (only_one,) = pod["containers"]
    return dict(only_one)


def named_by(pod: Object) -> dict[str, Any]:
    return {variable["name"]: variable for variable in container(pod).get("env", [])}


# Pods


@pytest.mark.parametrize("pod", [POD, JOB_POD, BACKUP_POD], ids=["server", "calibration", "backup"])
def test_pod_meets_the_restricted_security_standard(pod: Object) -> None:
    """As https://kubernetes.io/docs/concepts/security/pod-security-standards/ has it, and more."""
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == 10001
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert pod["automountServiceAccountToken"] is False
    # Kubernetes would set variables of the Service that look like settings.
    assert pod["enableServiceLinks"] is False
    for volume in pod["volumes"]:
        assert volume.keys() - {"name"} <= {"emptyDir", "persistentVolumeClaim", "secret"}
        assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})


def test_backups_do_not_overlap_and_are_no_servers() -> None:
    spec = CRON_JOB["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    labels = spec["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "potoo-backup"
    assert named_by(BACKUP_POD).keys() <= KNOWN
    arguments = container(BACKUP_POD)["args"]
    assert [one for one in arguments if one.startswith("--")] == [
        *("--folder", "--keep", "--with", "--passphrase-file"),
    ]


def test_namespace_enforces_the_restricted_standard() -> None:
    labels = only("Namespace", FILES["base/namespace.yaml"])["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_writable_paths_are_mounted() -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}
    volumes = {volume["name"] for volume in POD["volumes"]}
    assert {"/data", "/tmp"} <= mounts.keys()  # noqa: S108 - a path in a container
    assert set(mounts.values()) == volumes


def test_pod_declares_its_resources() -> None:
    resources = container()["resources"]
    assert {"cpu", "memory"} <= resources["requests"].keys()
    assert resources["limits"].keys() == {"memory"}
    # The thresholds apply to the measured number of cores.
    measured = yaml.safe_load((ROOT.parent / "autoscaling.yaml").read_text())["measured_on"]
    assert container(JOB_POD)["resources"]["limits"]["cpu"] == str(measured["cores"])


# Life


def test_probes_wait_for_model_loading() -> None:
    startup, ready, alive = (
        container()[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")
    )
    assert startup["httpGet"]["path"] == ready["httpGet"]["path"] == "/readyz"
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 120
    assert alive["httpGet"]["path"] == "/healthz"
    assert alive["periodSeconds"] * alive["failureThreshold"] >= 60
    # Removed from the balancer long before it is killed.
    assert ready["periodSeconds"] * ready["failureThreshold"] <= 15


def test_termination_grace_covers_the_drain() -> None:
    settings = env_file("base/settings.env")
    delay, drain = (float(settings[f"POTOO_{name}_SECONDS"]) for name in ("DRAIN_DELAY", "DRAIN"))
    pre_stop = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] >= pre_stop + delay + drain + 10
    # Until every proxy has seen /readyz fail.
    ready = container()["readinessProbe"]
    assert delay >= ready["periodSeconds"] * ready["failureThreshold"]
    # Every request without a deadline is answered.
    defaults = Settings.model_construct()
    assert drain >= defaults.inference.default_timeout_ms / 1000


def test_rollouts_and_drains_keep_enough_replicas() -> None:
    assert "replicas" not in DEPLOYMENT["spec"], "every apply would undo the autoscaler's work"
    rolling = DEPLOYMENT["spec"]["strategy"]["rollingUpdate"]
    assert rolling["maxUnavailable"] == 0
    (budget,) = FILES["base/disruption-budget.yaml"]
    (scaled,) = FILES["components/keda/scaledobject.yaml"]
    least = scaled["spec"]["minReplicaCount"]
    assert 0 < budget["spec"]["maxUnavailable"] < least
    fallback = scaled["spec"]["fallback"]["replicas"]
    assert least <= fallback <= scaled["spec"]["maxReplicaCount"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]


# Settings and secrets


def test_every_named_setting_exists() -> None:
    named = {*named_by(POD), *named_by(JOB_POD)}
    named |= env_file("base/settings.env").keys()
    named |= env_file("overlays/production/settings.env").keys()
    replica = yaml.safe_load((ROOT / "components/measured/replica.yaml").read_text())
    named |= named_by(replica["spec"]["template"]["spec"]).keys()
    assert len(named) >= 10
    assert named <= KNOWN


def test_settings_are_accepted_by_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = yaml.safe_load((ROOT / "components/measured/replica.yaml").read_text())
    measured = named_by(replica["spec"]["template"]["spec"])
    given = env_file("base/settings.env") | env_file("overlays/production/settings.env")
    given |= {name: variable["value"] for name, variable in measured.items()}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    thresholds = yaml.safe_load((ROOT.parent / "autoscaling.yaml").read_text())
    assert settings.inference.threads() == thresholds["replica"]["threads"]
    run = settings.inference.of(thresholds["model"]).model_dump(exclude_unset=True)
    assert run.items() >= thresholds["replica"]["settings"].items()
    assert settings.grpc_port == 8001
    assert settings.auth.issuer == "https://potoo.example"


def test_secrets_come_from_kubernetes_secrets_without_defaults() -> None:
    secret = {"POTOO_DATABASE_URL", "POTOO_ADMIN_PASSWORD", "POTOO_AUTH__RATE_STORE"}
    for name, variable in named_by(POD).items():
        assert ("valueFrom" in variable) is (name in secret)
    assert not any(one["kind"] == "Secret" for found in FILES.values() for one in found)
    kustomizations = ROOT.rglob("kustomization.yaml")
    assert not any("secretGenerator" in path.read_text() for path in kustomizations)
    keys = named_by(POD)["POTOO_AUTH__SIGNING_KEY_FILE"]["value"]
    (mount,) = (mount for mount in container()["volumeMounts"] if mount["name"] == "keys")
    assert keys.startswith(mount["mountPath"])


# Built with kustomize, if it is installed


@pytest.mark.process
def test_production_overlay_combines_all_components() -> None:
    built = kustomized(ROOT / "overlays/production")
    site = env_file("overlays/production/site.env")
    pod = only("Deployment", built)["spec"]["template"]["spec"]
    env = named_by(pod)
    assert {"POTOO_DATABASE_URL", "POTOO_INFERENCE__WORKERS"} <= env.keys()
    assert only("HTTPRoute", built, "potoo")["spec"]["hostnames"] == [site["HOST"]]
    assert only("HTTPRoute", built, "potoo")["spec"]["rules"][0]["retry"]["attempts"] == 2
    settings = only("ConfigMap", built)["data"]
    assert settings["POTOO_PUBLIC_URL"] == f"https://{site['HOST']}"
    assert settings["POTOO_DRAIN_SECONDS"] == "25"
    assert {one["metadata"].get("namespace", "potoo") for one in built} == {"potoo"}
    assert only("ScaledObject", built)


@pytest.mark.process
def test_single_overlay_keeps_its_own_store() -> None:
    built = kustomized(ROOT / "overlays/single")
    deployment = only("Deployment", built)["spec"]
    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}
    pod = deployment["template"]["spec"]
    assert named_by(pod).keys() == {"POTOO_ADMIN_PASSWORD"}
    site = env_file("overlays/single/site.env")
    assert only("ConfigMap", built)["data"]["POTOO_PUBLIC_URL"] == f"https://{site['HOST']}"
    ingress = only("Ingress", built)["spec"]
    assert ingress["tls"] == [{"hosts": [site["HOST"]], "secretName": "potoo-tls"}]
    (rule,) = ingress["rules"]
    assert rule["host"] == site["HOST"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    claim = volumes["data"]["persistentVolumeClaim"]["claimName"]
    assert claim == only("PersistentVolumeClaim", built)["metadata"]["name"]
    assert "keys" not in volumes
    kinds = {one["kind"] for one in built}
    assert not {"PodDisruptionBudget", "ScaledObject", "HorizontalPodAutoscaler"} & kinds
