"""What benchmarks share: the server under test, load, photos, models and results."""
