"""What a server consists of: its first run, its objects, identity, its process and its end."""
