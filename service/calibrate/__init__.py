"""``potoo calibrate``: what this machine can do, found by loading it."""
