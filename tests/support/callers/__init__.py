"""Ways to call a server: over HTTP, gRPC and raw sockets, signed in or not."""
