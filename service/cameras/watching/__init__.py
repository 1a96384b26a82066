"""Tasks that watch cameras, one each."""
