"""Potoo's own routes: classify, models, accounts, health, the web page."""
