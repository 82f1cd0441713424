"""One training step, and a whole training run."""
