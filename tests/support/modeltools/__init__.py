"""Files and repositories for tests of the model tools."""
