"""The process that serves HTTP: the wire protocol, its deadlines, workers, how it ends."""
