"""Simulates autoscaling policies on replicas of measured cost, under traces of load."""
