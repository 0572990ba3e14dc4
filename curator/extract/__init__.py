"""Subsets of metadata tables with billions of rows: nested, exact, the same wherever they are drawn."""
