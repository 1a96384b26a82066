"""Models in service: loaded, run, listed, replaced and retired."""
