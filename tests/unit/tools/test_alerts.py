"""Who is told of alerts: options of ``make prepare``, and what they become."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.repository import ROOT
from tools.alerts import CAUSES, FOLLOWING, Mail, Receiver, configuration, receiver
from tools.prepare import main

HOOK = Receiver("webhook", "https://hooks.example/a?b=c")
SMTP = Mail("smtp.example.org:587", "potoo@cam.example.org", "potoo", "/run/secrets/smtp_password")


def routes(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mail:ops@example.org", Receiver("mail", "ops@example.org")),
        ("ntfy:https://ntfy.sh/a", Receiver("ntfy", "https://ntfy.sh/a")),
        ("webhook:http://10.0.0.7:8080/a", Receiver("webhook", "http://10.0.0.7:8080/a")),
    ],
)
def test_ways_to_tell_people_are_parsed(text: str, found: Receiver) -> None:
    assert receiver(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mail:",
        "mail:nobody",
        "ntfy:topic",
        "webhook:ftp://a/b",
        "pager:1",
        "webhook:https://a b/",
    ],
)
def test_other_ways_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        receiver(text)


def test_every_way_is_in_one_receiver() -> None:
    ways = [HOOK, Receiver("ntfy", "https://ntfy.sh/a"), Receiver("mail", "ops@example.org")]
    found = routes(configuration(ways, "https://hc.example/1", SMTP))
    people = next(one for one in found["receivers"] if one["name"] == "people")
    assert [one["url"] for one in people["webhook_configs"]] == [
        "https://hooks.example/a?b=c",
        "https://ntfy.sh/a?template=alertmanager",
    ]
    assert people["email_configs"] == [{"to": "ops@example.org", "send_resolved": True}]
    assert found["global"]["smtp_auth_password_file"] == "/run/secrets/smtp_password"
    watchdog = found["route"]["routes"][0]
    assert (watchdog["receiver"], watchdog["repeat_interval"]) == ("heartbeat", "1m")


def test_without_a_heartbeat_the_watchdog_tells_nobody() -> None:
    found = routes(configuration([HOOK], None, None))
    assert found["route"]["routes"][0]["receiver"] == "nobody"
    assert {one["name"] for one in found["receivers"]} == {"nobody", "people"}


def test_mail_needs_a_server() -> None:
    with pytest.raises(ValueError, match="--smtp"):
        configuration([Receiver("mail", "ops@example.org")], None, None)


def test_inhibiting_alerts_exist() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules/alerts.yaml").read_text())
    text = (ROOT / "deploy/prometheus/rules/thresholds.yaml").read_text() + str(rules)
    for name in (*CAUSES, *FOLLOWING):
        assert name in text, name


def test_prepare_writes_the_files_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    password = tmp_path / "password.txt"
    password.write_text("hunter2hunter2\n")
    given = [
        "--site",
        "cam.example.org",
        "--folder",
        str(tmp_path),
        "--alerts",
        "mail:a@example.org",
    ]
    smtp = ["--smtp", "smtp.example.org:587", "--smtp-user", "potoo"]
    main([*given, *smtp, "--smtp-password-file", str(password)])
    folder = tmp_path / "secrets/alertmanager"
    assert (folder / "smtp_password").read_text() == "hunter2hunter2\n"
    assert "hunter2" not in (folder / "alertmanager.yml").read_text() + capsys.readouterr().out
    assert "COMPOSE_PROFILES=box,watch,alerts" in (tmp_path / ".env").read_text()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--alerts", "mail:a@example.org"], "mail needs --smtp"),
        (["--heartbeat", "https://hc.example/1"], "need --alerts"),
        (["--alerts", "ntfy:https://ntfy.sh/a", "--small"], "no Prometheus"),
        (
            ["--alerts", "mail:a@b.c", "--smtp", "a:25", "--smtp-user", "x"],
            "needs --smtp-password-file",
        ),
        (["--alerts", "mail:a@b.c", "--smtp", "nowhere"], "a server and port"),
    ],
)
def test_incomplete_options_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit):
        main(["--site", "cam.example.org", "--folder", str(tmp_path), *given])
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
