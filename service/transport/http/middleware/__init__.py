"""Rules for every route: errors, negotiation, compression, declarations."""
