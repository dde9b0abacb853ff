"""The page of an experiment's results, `index.html`: one file that needs no network."""
