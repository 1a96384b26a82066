"""The engine interface, its implementations (ONNX Runtime, OpenVINO), and the worker pool."""
