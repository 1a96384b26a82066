"""``potoo models``: one file per subcommand."""
