"""Duplicates: fingerprints of samples, clusters of those that are alike, and which one of a cluster stays."""
