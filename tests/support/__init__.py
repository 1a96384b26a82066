"""Helpers that tests share: servers, callers, models, proxies."""
