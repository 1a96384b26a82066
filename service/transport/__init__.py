"""One package per protocol: translation only. Protocols never import each other."""
