"""The image of a space under two linear scores: lower hull, edge maxima, outer approximation, weak duality."""
