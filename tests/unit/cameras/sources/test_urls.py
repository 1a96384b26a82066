"""URLs of cameras: what they name, and what messages show of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cameras import CameraFailure, SourceKind
from service.cameras.sources.source import SourceFailed
from service.cameras.sources.urls import (
    NetworkUrl,
    kind_of,
    parse_file_url,
    parse_network_url,
    parse_usb_url,
    shown,
    split_credentials,
)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://cam/a.jpg", SourceKind.HTTP),
        ("HTTPS://cam/", SourceKind.HTTP),
        ("rtsp://cam/", SourceKind.RTSP),
        ("rtsps://cam/", SourceKind.RTSP),
        ("file:///a.mp4", SourceKind.FILE),
        ("usb:0", SourceKind.USB),
    ],
)
def test_kind_follows_from_the_scheme(url: str, kind: SourceKind) -> None:
    assert kind_of(url) is kind


@pytest.mark.parametrize("url", ["ftp://cam/", "gopher://cam/", "data:,x", "concat:a|b", "cam", ""])
def test_other_schemes_are_not_supported(url: str) -> None:
    with pytest.raises(SourceFailed) as failed:
        kind_of(url)
    assert failed.value.reason is CameraFailure.UNSUPPORTED


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("http://Cam.Example", "cam.example", 80, "/"),
        ("http://cam:8080/a b?q=%20#fragment", "", 0, ""),
        ("http://cam:8080/a%20b?q=1#fragment", "cam", 8080, "/a%20b?q=1"),
        ("https://[fd00::1]/x", "fd00::1", 443, "/x"),
        ("rtsp://u:p@cam/live?token=1", "cam", 554, "/live?token=1"),
        ("rtsps://cam", "cam", 322, "/"),
        ("http://bücher.example/", "xn--bcher-kva.example", 80, "/"),
        ("http://good.example@evil.example/", "evil.example", 80, "/"),
        ("http://cam./", "cam.", 80, "/"),
        ("http://0x7f.1/", "0x7f.1", 80, "/"),
    ],
)
def test_network_urls(url: str, host: str, port: int, target: str) -> None:
    if not host:
        with pytest.raises(SourceFailed):
            parse_network_url(url)
        return
    parsed = parse_network_url(url)
    assert (parsed.host, parsed.port, parsed.target) == (host, port, target)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://",
            "http:///x",
            "http:cam",
            "http://a b/",
            "http://a\tb/",
            "http://a\n/",
            "http://a%00b/",
        ),
        *(
            "http://good.example\\@evil.example/",
            "http://evil.example\\.good.example/",
            "http://a|b/",
        ),
        *(
            "http://cam:0x50/",
            "http://cam:99999/",
            "http://cam:-1/",
            "http://[::1/",
            "http://[cam]/",
        ),
        *(
            "http://[fe80::1%25eth0]/",
            "http://\uff11\uff12\uff17.0.0.1/",
            "http://ex%61mple/",
            "http://" + "a" * 300,
        ),
    ],
)
def test_malformed_urls_are_refused(url: str) -> None:
    with pytest.raises(SourceFailed) as failed:
        parse_network_url(url)
    assert failed.value.reason is CameraFailure.ADDRESS_REFUSED


@given(url=st.text(max_size=60).map("http://{}".format) | st.text(max_size=60))
def test_any_text_is_parsed_or_refused(url: str) -> None:
    try:
        parsed = parse_network_url(url)
    except SourceFailed:
        return
    # What is left cannot mean two things to two parsers.
    assert parse_network_url(parsed.at(parsed.host)) == parsed
    assert not set(parsed.host) & set("/@\\?#% ")


def test_url_with_the_checked_address() -> None:
    url = parse_network_url("rtsp://cam:8554/live?x=1")
    assert url.authority == "cam:8554"
    assert url.at("10.0.0.1", "user:p%40ss") == "rtsp://user:p%40ss@10.0.0.1:8554/live?x=1"
    assert url.at("fd00::1") == "rtsp://[fd00::1]:8554/live?x=1"
    assert parse_network_url("https://[fd00::1]:443/").authority == "[fd00::1]"


@pytest.mark.parametrize(
    ("location", "joined"),
    [
        ("/b?c=d", NetworkUrl("http", "cam", 8080, "/b?c=d")),
        ("b", NetworkUrl("http", "cam", 8080, "/a/b")),
        ("//other/x", NetworkUrl("http", "other", 80, "/x")),
        ("https://u:p@cam/x", NetworkUrl("https", "cam", 443, "/x")),
        ("http://169.254.169.254/", NetworkUrl("http", "169.254.169.254", 80, "/")),
    ],
)
def test_redirects_are_joined(location: str, joined: NetworkUrl) -> None:
    assert parse_network_url("http://cam:8080/a/x").join(location) == joined


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://a b/", "javascript:x", "http://\\evil"]
)
def test_redirects_to_no_network_url_are_refused(location: str) -> None:
    with pytest.raises(SourceFailed):
        parse_network_url("http://cam/").join(location)


@pytest.mark.parametrize(
    ("url", "split"),
    [
        ("http://u:p%40ss@cam:81/a?b", ("http://cam:81/a?b", "u", "p@ss")),
        ("rtsp://u@cam/", ("rtsp://cam/", "u", None)),
        ("rtsp://u:@cam/", ("rtsp://cam/", "u", "")),
        ("http://cam:80", ("http://cam/", None, None)),
        ("usb:3", ("usb:3", None, None)),
        ("file:///a@b", ("file:///a@b", None, None)),
    ],
)
def test_credentials_are_split_off(url: str, split: tuple[str, str | None, str | None]) -> None:
    assert split_credentials(url) == split


def test_message_shows_no_secret() -> None:
    assert shown("rtsp://user:secret@cam:554/live?token=secret#secret") == "rtsp://cam:554/live"
    assert "secret" not in shown("http://a:secret@secret@cam/")
    assert len(shown("http://cam/" + "a" * 1000)) == 200


def test_file_urls() -> None:
    assert parse_file_url("file:///videos/a%20b.mp4") == Path("/videos/a b.mp4")
    for url in ("file://host/a", "file:a", "file:///a%00b", "http://cam/", "file:///a b"):
        with pytest.raises(SourceFailed):
            parse_file_url(url)


def test_usb_urls() -> None:
    assert parse_usb_url("usb:12") == 12
    for url in ("usb:", "usb:x", "usb:-1", "usb:100", "usb:0/../1", "usb:1 "):
        with pytest.raises(SourceFailed):
            parse_usb_url(url)
