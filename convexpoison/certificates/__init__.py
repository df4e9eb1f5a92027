"""The checker: statements, what proves them, and their verification, without a solver or a trainer."""
