"""Recipe of the model ``language``: tokens, embedding bag, calibration, export, evaluation.

Run it with ``make language ARGS="--data DIR"``.
"""
