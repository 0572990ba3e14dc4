"""What needs torch: the model, its training, generation and scoring."""
