"""Diffusion processes, one file each: levels, corruption, targets, denoised images."""
