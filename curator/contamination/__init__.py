"""Contamination: samples that hold the questions or the pictures of a benchmark."""
