"""Where models come from: the catalogue, downloads, and those that come with Potoo."""
