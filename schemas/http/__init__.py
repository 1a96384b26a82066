"""Bodies that only HTTP carries: OAuth, probes, problem details, protocols of other servers."""
