"""The verdict on a head: pure arithmetic on held-out logits; no clock, no file, no transport."""
