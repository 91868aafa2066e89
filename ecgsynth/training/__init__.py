"""Training of the learned generators: Lightning tasks, the prior, the run, and a user's own folder."""
