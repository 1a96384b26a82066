"""One folder a protocol: translation only. They never import each other."""
