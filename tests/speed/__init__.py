"""Measured ratios, run on request: ``python -m tests.speed.startup``."""
