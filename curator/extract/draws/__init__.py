"""Ways to choose among wanted rows: each gives a row its place in one order, whose prefixes are the subsets."""
