"""Libraries for programs that talk to Potoo. They import ``schemas`` and nothing of the server."""
