"""Scripts that use third-party clients; tests run them against a live server.

They need packages that conflict with ours (``tritonclient`` and ``kserve`` require older versions),
so ``make clients`` creates a separate environment for them.
"""
