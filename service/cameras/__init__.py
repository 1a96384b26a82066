"""Cameras that the server watches: sources, pipeline, states, events and where they are sent."""
