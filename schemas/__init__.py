"""Documents exchanged over the network or between processes. Imports no other package of Potoo."""
