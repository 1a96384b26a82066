"""Equal inputs get equal answers at every endpoint."""
