"""Frechet distances that IGD's authors report for the toy, shown beside ours in its table.

Source: the public discussion of the paper, where class 0 is the head and class 1 the tail of
`overlapping`. Not reported: the numbers of points, training steps and samples, the network, and how
the distance is computed.
"""

FRECHET = {
    0.0: {"head": (2.766, 0.534), "tail": (1.984, 0.321)},
    0.001: {"head": (2.751, 0.517), "tail": (1.996, 0.317)},
    0.01: {"head": (2.720, 0.470), "tail": (1.988, 0.297)},
    0.1: {"head": (2.467, 0.467), "tail": (1.965, 0.287)},
    1.0: {"head": (1.954, 0.403), "tail": (2.021, 0.370)},
}
"""Mean and standard deviation over their runs, by beta and class."""
MIXTURE_NAME = "overlapping"
