"""From YAML to a checked `Experiment`: merging, data sets, runs, evaluation, checks, paths."""
