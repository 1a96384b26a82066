"""The `potoo` command, called in this process."""
