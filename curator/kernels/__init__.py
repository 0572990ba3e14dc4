"""Compiled loops (numba) over Arrow's own memory: what the text filters count. Imported when something is measured."""
