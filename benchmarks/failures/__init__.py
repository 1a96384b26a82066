"""What clients notice while something is lost behind the balancer: ``make bench-failures``."""
