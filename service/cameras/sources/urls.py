"""URLs of cameras: one parser for all kinds; credentials are split off, messages show none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import httpx

from schemas.cameras import CameraFailure, SourceKind
from service.cameras.sources.source import SourceFailed

DEFAULT_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
_HOST = re.compile(r"[a-z0-9_.:-]{1,253}")
_USB = re.compile(r"usb:(\d{1,2})")


@dataclass(frozen=True, slots=True)
class NetworkUrl:
    """URL of a camera on the network, without credentials.

    Attributes:
        host: lower case ASCII (IDNA), an IPv6 address without brackets.
        target: path and query, percent-encoded, beginning with ``/``.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as in a ``Host`` header (RFC 9110, section 7.2)."""
        is_default = self.port == DEFAULT_PORTS[self.scheme]
        return bracketed(self.host) + ("" if is_default else f":{self.port}")

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is made by TLS."""
        return self.scheme in {"https", "rtsps"}

    def at(self, address: str, user_info: str = "") -> str:
        """Return the URL with an address in place of the host, and a user and password."""
        prefix = f"{user_info}@" if user_info else ""
        return f"{self.scheme}://{prefix}{bracketed(address)}:{self.port}{self.target}"

    def join(self, location: str) -> NetworkUrl:
        """Return the target of a redirect. A user and password in it are dropped.

        Raises:
            SourceFailed: it is no URL of the network.
        """
        try:
            joined = str(httpx.URL(self.at(self.host)).join(location))
        except (httpx.InvalidURL, ValueError):
            raise _malformed() from None
        return parse_network_url(joined)


def bracketed(host: str) -> str:
    """Return a host as in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def kind_of(url: str) -> SourceKind:
    """Return how the frames of a URL are fetched.

    Raises:
        SourceFailed: the scheme is not supported.
    """
    scheme = url.partition(":")[0].lower()
    kinds = {
        "http": SourceKind.HTTP,
        "https": SourceKind.HTTP,
        "rtsp": SourceKind.RTSP,
        "rtsps": SourceKind.RTSP,
        "file": SourceKind.FILE,
        "usb": SourceKind.USB,
    }
    if scheme not in kinds:
        message = "The URL begins with http://, https://, rtsp://, rtsps://, file:// or usb:"
        raise SourceFailed(CameraFailure.UNSUPPORTED, message)
    return kinds[scheme]


def parse_network_url(url: str) -> NetworkUrl:
    """Parse the URL of a camera on the network. Credentials and fragment are dropped.

    Raises:
        SourceFailed: it is malformed, or of another kind.
    """
    parsed = _parse(url)
    host = parsed.raw_host.decode("ascii").lower()
    port = parsed.port or DEFAULT_PORTS.get(parsed.scheme, 0)
    if parsed.scheme not in DEFAULT_PORTS or not _HOST.fullmatch(host) or not 0 < port < 65536:
        raise _malformed()
    target = parsed.raw_path.decode("ascii")
    return NetworkUrl(parsed.scheme, host, port, target if target.startswith("/") else f"/{target}")


def parse_file_url(url: str) -> Path:
    """Return the absolute path of a ``file:///`` URL.

    Raises:
        SourceFailed: it is malformed, or names a host.
    """
    parsed = _parse(url)
    path = Path(unquote(parsed.raw_path.decode("ascii").partition("?")[0]))
    if parsed.scheme != "file" or parsed.raw_host or "\0" in str(path) or not path.is_absolute():
        raise _malformed()
    return path


def parse_usb_url(url: str) -> int:
    """Return the number of the device of ``usb:N``, 0 to 99.

    Raises:
        SourceFailed: it is malformed.
    """
    if not (found := _USB.fullmatch(url.lower())):
        raise _malformed()
    return int(found[1])


def split_credentials(url: str) -> tuple[str, str | None, str | None]:
    """Take user and password out of a URL.

    Returns:
        The URL without them, the user and the password, percent-decoded; None where absent.

    Raises:
        SourceFailed: the URL is malformed, or its scheme is not supported.
    """
    if kind_of(url) in {SourceKind.FILE, SourceKind.USB}:
        return url, None, None
    parsed = _parse(url)
    clean = parse_network_url(url)
    user, has_password, password = parsed.userinfo.decode("ascii").partition(":")
    return (
        f"{clean.scheme}://{clean.authority}{clean.target}",
        unquote(user) or None,
        unquote(password) if has_password else None,
    )


def shown(url: str) -> str:
    """Return a URL for messages: without credentials, query and fragment, cut to 200 characters."""
    without_query = re.split(r"[?#]", url, maxsplit=1)[0]
    return re.sub(r"//[^/]*@", "//", without_query)[:200]


def _parse(url: str) -> httpx.URL:
    # WHATWG parsers read a backslash as a slash, RFC 3986 does not: nobody needs one.
    if "\\" in url or any(character.isspace() for character in url):
        raise _malformed()
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise _malformed() from None


def _malformed() -> SourceFailed:
    return SourceFailed(CameraFailure.ADDRESS_REFUSED, "The URL is malformed")
