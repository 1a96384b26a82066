"""What several tests need: servers, callers, models, proxies."""
