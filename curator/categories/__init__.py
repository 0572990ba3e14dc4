"""Which of the 12 categories a sample belongs to, by what is said in it: for any dataset, without rules of a card."""
