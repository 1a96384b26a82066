"""The Potoo server: settings, the model server's core, transports, the command line."""

__version__ = "0.1.0"
