"""Names in the tables and figures of sweeps."""

WORST = "worst"  # group of the class with the largest value, beside the classes' names
FIGURES = ("v-curve", "nash-gap", "generalisation", "scores", "clouds")
