"""The model server without a network. Knows no FastAPI, no gRPC, no account."""
