"""The shipped classifier of 95 everyday classes: a millisecond on one core.

``make everyday ARGS="--data DIR --teacher FILE"`` trains, calibrates, exports and evaluates it.
"""
