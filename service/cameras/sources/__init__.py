<<<<<<< HEAD
"""Sources of frames: HTTP in this process; RTSP, files and USB in a process of their own."""
=======
"""Sources of frames: snapshots and MJPEG over HTTP; RTSP, files and USB in a child process."""
>>>>>>> cams-out
