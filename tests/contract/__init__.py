"""Contract tests: agreement with a reference, a schema or a protocol definition."""
