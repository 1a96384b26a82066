"""Other people's clients, each a program of its own that the tests run against a live server.

They need packages that cannot be installed beside ours (``tritonclient`` and ``kserve`` ask for older
ones), so they have an environment of their own: ``make clients`` makes it.
"""
