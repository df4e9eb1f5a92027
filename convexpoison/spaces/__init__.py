"""Where an added row may lie."""
