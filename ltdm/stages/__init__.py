"""One module a stage: files in, files out. What the workflow's scripts and the CLI both call."""
