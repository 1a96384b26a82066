"""How cameras' certificates are checked."""

from __future__ import annotations

import ssl

from schemas.cameras import CameraFailure
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import SourceFailed


def tls_context(rules: SourceRules) -> ssl.SSLContext:
    """Return a context that checks certificate and name.

    Raises:
        SourceFailed: ``unreachable``: the file of authorities cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=rules.ca_file)
    except (OSError, ssl.SSLError):
        message = "The file of the setting cameras.ca_file cannot be read"
        raise SourceFailed(CameraFailure.UNREACHABLE, message) from None


def authorities(rules: SourceRules) -> str:
    """Return the file of authorities for libraries without a default; empty if none is known."""
    return str(rules.ca_file or ssl.get_default_verify_paths().cafile or "")


def why_untrusted(error: BaseException) -> str | None:
    """Return what is wrong with a camera's TLS, by the causes of an error; None: nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The camera's certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "The camera does not speak TLS"
        cause = cause.__cause__ or cause.__context__
    return None
