"""The gRPC server: its port, TLS, start and stop."""
