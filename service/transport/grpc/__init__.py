"""gRPC: the Open Inference Protocol V2 and a short call of our own, with health and reflection."""
