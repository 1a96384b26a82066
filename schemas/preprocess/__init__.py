"""Options and answers of preprocessing."""
