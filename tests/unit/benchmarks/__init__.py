"""The parts of the benchmarks that can be right or wrong without measuring anything."""
