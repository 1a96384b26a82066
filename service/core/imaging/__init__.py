"""From an encoded image to a tensor, and from scores to an answer."""
