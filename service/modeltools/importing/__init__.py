"""From an ONNX file to a version in the repository."""
