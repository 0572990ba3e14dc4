"""What exists: cards, taxonomy, sample schema, recipes, benchmarks, scales, identity, store, catalogue.

Imports nothing of ``curator`` or ``trainers``, and no torch, click or network library.
"""
