"""The classifier of turbofan engines' condition: 21 sensors over 30 flights.

``make turbofan ARGS="--data DIR"`` trains, calibrates, exports and evaluates it, in a minute.
"""
