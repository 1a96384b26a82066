"""gRPC: the Open Inference Protocol V2 and a short call of our own, with health and reflection."""

import os

# Read when grpc is loaded. Its own lines on standard error have another form than ours, and anybody
# can cause one for every connection.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
