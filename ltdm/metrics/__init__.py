"""Metrics, one file each: two arrays of features in, numbers out; never a model."""
