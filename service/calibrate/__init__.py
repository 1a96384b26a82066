"""``potoo calibrate``: measure the capacity of this machine under load."""
