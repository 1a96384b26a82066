"""Single photos: what their bytes say, their groups, and changes to them."""
