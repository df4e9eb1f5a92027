"""Certified bounds for goals: no attack with fewer points flips this prediction or misclassifies this set."""
