"""The maximum loss difference of two models (MTP, Definition 1): the query, its backends, the check of their answers."""
