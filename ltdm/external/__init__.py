"""What others made: released checkpoints and image sets, imported and scored by our stages."""
