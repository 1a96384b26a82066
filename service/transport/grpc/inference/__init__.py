"""``inference.GRPCInferenceService``: the Open Inference Protocol."""
