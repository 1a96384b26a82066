"""Which tests run, in which order, and with which examples."""
