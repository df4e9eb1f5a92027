"""Closed forms for linear classifiers, and the attacks that attain them."""
