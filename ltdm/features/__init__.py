"""Feature extractors, one file each: uint8 images in, one vector an image out."""
