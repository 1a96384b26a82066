"""Import of an ONNX file as a version in the repository."""
