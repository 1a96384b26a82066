"""A GStreamer RTSP server with one stream, ``/cam``.

Run by the system's own Python, which has ``gi``: a virtual environment has not. Prints its port
once it listens.

    python3 rtsp_server.py '{"port": 0, "launch": "( ... name=pay0 )", "user": null,
                             "password": null, "certificate": null}'

The password is asked for by digest where a user is given; ``certificate`` is a PEM file with a
certificate and its key, for rtsps.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def main() -> None:
    wanted = json.loads(sys.argv[1])
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(wanted["port"]))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(wanted["launch"])
    if wanted["user"] or wanted["certificate"]:
        server.set_auth(_authentication(wanted, factory))
    server.get_mount_points().add_factory("/cam", factory)
    assert server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


def _authentication(wanted: dict[str, Any], factory: Any) -> Any:
    authentication = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("user", permission, True)  # noqa: FBT003 - GStreamer's
    factory.set_permissions(permissions)
    if wanted["user"]:
        authentication.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        authentication.add_digest(wanted["user"], wanted["password"], token)
    else:
        authentication.set_default_token(token)
    if wanted["certificate"]:
        certificate = Gio.TlsCertificate.new_from_file(wanted["certificate"])
        authentication.set_tls_certificate(certificate)
    return authentication


if __name__ == "__main__":
    main()
