"""Programs for maintainers; nothing imports them."""
