"""The user's own terms: frames, sparse matrices, and what a Pipeline does to columns before the model sees them."""
