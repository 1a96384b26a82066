"""Rollouts: versions that are tried beside the default ones, judged, promoted or ended."""
