"""Samplers, one file each: functions from noise and a denoiser to images."""
