"""Feature extractors, one file each: uint8 images in; features, maybe probabilities, out."""
