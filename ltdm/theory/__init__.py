"""The theory lab: mixtures with known scores, and the game of mutual learning solved exactly."""
