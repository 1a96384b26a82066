"""Photos and labels of other tools: folders, CSV, Label Studio, in a folder or a zip."""
