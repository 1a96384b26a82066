"""Teaching: labelled photos become a head on the features of a base model."""
