"""Training: one readable loop, and beside it the parts it is made of, each with its config."""
