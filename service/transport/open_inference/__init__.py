"""Extensions and parameters of the Open Inference Protocol, for HTTP and gRPC."""
