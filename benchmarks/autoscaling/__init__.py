"""Would the autoscaling thresholds do? Load traces replayed through policies on simulated replicas."""
