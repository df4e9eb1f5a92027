"""Results of attacks."""
