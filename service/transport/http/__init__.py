"""HTTP: routes, uploads, RFC 9457 errors, the wire protocol's limits."""
