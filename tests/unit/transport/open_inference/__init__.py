"""Extensions and parameters of the Open Inference Protocol."""
