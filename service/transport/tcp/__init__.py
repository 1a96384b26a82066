"""Samples over TCP: frames with checksums, or plain float32."""
