"""The model server without a network: independent of FastAPI, gRPC and accounts."""
