"""gRPC: the Open Inference Protocol V2, our own Predict call, health and reflection."""

import os

# gRPC reads this when it is imported. Its own lines on standard error do not have our log format,
# and any client can cause one per connection.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
