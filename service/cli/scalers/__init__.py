"""``potoo scalers``: fit scalers to tables, look at them, apply them."""
