"""RTSP, files and USB cameras: a child process decodes, the server watches it."""
