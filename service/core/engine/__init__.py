"""The seam to whatever runs a network, ONNX Runtime behind it, and the pool of threads."""
