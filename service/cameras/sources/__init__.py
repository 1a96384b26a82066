"""Sources of frames: snapshots and MJPEG over HTTP; RTSP, files and USB in a child process."""
