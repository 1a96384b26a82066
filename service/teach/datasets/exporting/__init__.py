"""Photos and labels for other tools: folders, CSV, Label Studio."""
