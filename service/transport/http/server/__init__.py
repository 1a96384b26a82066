"""The process that serves HTTP: wire protocol, deadlines, workers, shutdown."""
