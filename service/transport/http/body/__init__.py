"""Request bodies, read within limits: raw, multipart, JSON, base64, compressed."""
