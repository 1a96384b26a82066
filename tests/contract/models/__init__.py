"""The models of the catalogue have the properties stated in their cards."""
