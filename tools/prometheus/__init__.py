"""What Prometheus is told: whom to ask, what to record, when to wake somebody."""
