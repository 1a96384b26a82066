"""Models and data of sensor series for the tests."""
