"""Released checkpoints and image sets of other projects, imported and scored by ltdm's stages."""
