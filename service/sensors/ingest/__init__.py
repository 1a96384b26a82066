"""From samples to committed answers: channels, classification, group commit, liveness."""
