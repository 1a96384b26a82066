"""Routes of training with other sites."""
