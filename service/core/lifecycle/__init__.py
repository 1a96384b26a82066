"""Life cycle of model versions: loading, switching and unloading beside live traffic."""
