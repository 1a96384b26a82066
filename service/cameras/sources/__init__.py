"""Sources of frames: snapshot and MJPEG over HTTP; RTSP, files and USB in a process of their own."""
