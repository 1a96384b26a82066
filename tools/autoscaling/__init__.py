"""Would the autoscaling thresholds do? Load traces through policies on simulated replicas."""
