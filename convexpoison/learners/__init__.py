"""What learns: losses, linear models, victims, exact trainers, and derivatives of an optimum."""
