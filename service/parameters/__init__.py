"""The parameter server: parameters by version, gradients of workers, the server's optimiser."""
