"""Training, fitting and evaluation of the default model ``imagenet``, for its card."""
