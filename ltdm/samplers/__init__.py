"""Samplers, one file each: pure functions from noise to images."""
