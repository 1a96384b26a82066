"""Routes that prepare items as models take them."""
