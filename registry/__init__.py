"""What exists: cards, taxonomy, sample schema, recipes, benchmarks, scales, identity, store, catalogue."""
