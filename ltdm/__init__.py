"""Long-tailed diffusion models under one protocol.

`config` reads YAML, and says what each job is asked for and which files it reads and writes.
`data` cuts the long-tailed training set and keeps the images that metrics compare with.
`training` fits a network of `networks` to a process of `diffusion` by the losses of `methods`.
`samplers` turn noise into images with that network.
`features` turns real and generated images into vectors.
`metrics` compares these vectors, in all, by group and by class.
`reporting` writes the numbers as tables and figures.
`stages` runs each of these steps from files to files; `pipeline` and `cli` say which are due.
"""

__version__ = "0.2.0"
