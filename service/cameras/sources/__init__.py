"""Sources of frames: HTTP in this process; RTSP, files and USB in a process of their own."""
