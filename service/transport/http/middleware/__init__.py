"""What holds for every route: errors, negotiation, compression, declarations."""
