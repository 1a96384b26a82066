"""What an operator sees: logs, metrics, request ids. Imports nothing of ours."""
