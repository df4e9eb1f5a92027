"""Networks and the objectives that train them for smoothing."""
