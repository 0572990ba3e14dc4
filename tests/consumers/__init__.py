"""Readers of other projects, each in an environment of its own, on what this one writes. Run on request."""
