"""Models, images and repositories for tests."""
