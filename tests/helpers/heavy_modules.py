"""The heavy modules that each stage may load: they cost most of the start of a short job."""

NUMBERS = {"pandas", "scipy"}
DRAWING = {*NUMBERS, "matplotlib"}
NETWORK = {"torch"}

AT_START = {
    "stages.copies_figure": DRAWING,
    "stages.ema": NETWORK,
    "stages.ema_width_figure": DRAWING,
    "stages.extractor": set(),
    "stages.features": set(),
    "stages.figures": DRAWING,
    "stages.guidance_figure": DRAWING,
    "stages.manifest": set(),
    "stages.metrics": NUMBERS,
    "stages.neighbours": NETWORK,
    "stages.prepare": {"pandas"},
    "stages.probe": {*NETWORK, "pandas"},
    "stages.probe_figure": DRAWING,
    "stages.probe_split": set(),
    "stages.probe_tables": NUMBERS,
    "stages.sample": NETWORK,
    "stages.sample_sheet": NUMBERS,
    "stages.tables": NUMBERS,
    "stages.theory": {*NETWORK, "pandas"},
    "stages.theory_figure": DRAWING,
    "stages.theory_tables": {*NETWORK, *NUMBERS},  # for the samplers of the sweeps
    "stages.train": {*NETWORK, "pandas"},
    "stages.tuned_tables": NUMBERS,
    "page.document": {*DRAWING, "altair"},
}
"""By the module of a rule's script, once it is imported."""

LATER = {
    "extractor": {*NETWORK, "scipy"},  # none for `pixels`
    "features": NETWORK,
    "figures": NETWORK,  # the operations of a training, where there are trainings
    "metrics": NETWORK,  # nearest neighbours of precision and recall
    "prepare": {"sklearn", "scipy"},  # the source's reader
}
"""By rule, what its jobs of the smoke config may load besides, as they work."""
