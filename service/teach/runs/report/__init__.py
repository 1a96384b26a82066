"""The report of a run: one HTML file, without scripts and without other files."""
