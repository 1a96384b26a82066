"""Tools for models that only the command line uses: add, pull, optimise, calibrate, evaluate."""
