"""gRPC: the Open Inference Protocol V2, our own Predict call, health and reflection."""

import os

# Read when grpc is loaded. gRPC's own lines on standard error do not have our log format, and any
# client can cause one per connection.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
