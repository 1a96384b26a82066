"""Scripts that use third-party clients; tests run them against a live server.

They need packages that cannot be installed beside ours (``tritonclient`` and ``kserve`` ask for older
ones), so they have an environment of their own: ``make clients`` makes it.
"""
