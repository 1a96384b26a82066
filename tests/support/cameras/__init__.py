"""Cameras to test with: fault servers over sockets, videos made by PyAV, an RTSP server."""
