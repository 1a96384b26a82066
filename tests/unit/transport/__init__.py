"""What the transports read and write, without sockets."""
