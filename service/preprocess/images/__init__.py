"""Images as models take them: forms of the tensor, and a picture of it."""
