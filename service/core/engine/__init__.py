"""The engine interface, its ONNX Runtime implementation, and the worker pool."""
