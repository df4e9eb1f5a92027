"""What a smoothed classifier is worth: certified accuracies, radii, distortions, kept image by image."""
