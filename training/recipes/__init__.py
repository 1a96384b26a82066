"""One folder a shipped model: how it was trained, evaluated and exported."""
