"""What a bound is believed on: certificates, and the interval arithmetic that checks them without a solver."""
