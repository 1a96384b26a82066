"""From what ``potoo calibrate`` measured to the manifests that scale replicas."""
