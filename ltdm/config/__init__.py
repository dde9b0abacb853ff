"""YAML to a checked `Experiment`: merge, data sets, runs, evaluation, compatibility, paths."""
