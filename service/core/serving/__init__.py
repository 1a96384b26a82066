"""Models that are served: loaded, run, listed, replaced and retired."""
