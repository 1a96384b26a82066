"""Models, pictures and repositories that tests make."""
