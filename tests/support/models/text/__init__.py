"""Models of text, and their tokenizers."""
