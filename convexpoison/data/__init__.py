"""The tables of the user and the rows of the library: frames, Pipelines, training data, products with the rows."""
