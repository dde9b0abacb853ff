"""Diffusion processes, one file each: noise levels, corruption, targets, denoised images."""
