"""The world under test: simulated, or real."""
