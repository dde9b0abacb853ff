"""Feature extractors, one file each: from uint8 images to features and class probabilities."""
