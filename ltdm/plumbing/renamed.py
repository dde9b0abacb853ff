"""What keys and values of a config were called in 0.1.0, so that an old one is refused by name."""

from collections.abc import Container

KEYS: dict[str, tuple[str, ...]] = {
    "augment_chance": ("augment_prob",),
    "batch": ("batch_size",),
    "betas": ("adam_betas",),
    "checkpoint": ("import_checkpoint",),
    "clip": ("grad_clip",),
    "clip_x0": ("clip_denoised",),
    "ema": ("ema_decay",),
    "falls_after": ("lr_decay_images",),
    "features": ("feature_dim", "extractors"),
    "guide": ("guide_run",),
    "images": ("num_images",),
    "levels": ("noise_levels",),
    "posthoc": ("posthoc_ema",),
    "shots": ("shot_bounds",),
    "sigma_rel": ("ema_sigma_rel",),
    "table": ("table_columns",),
    "updates": ("steps",),
    "warmup": ("warmup_steps",),
}
"""Old key -> its new names; which one it is depends on the section."""
VALUES: dict[str, tuple[str, ...]] = {
    "karras": ("ada",),
    "raw": ("last",),
}
"""Old value of an option -> its new names."""


def new_name(old: object, renamed: dict[str, tuple[str, ...]], known: Container[str]) -> str | None:
    """Return what an old name is called where the names `known` are allowed; None if it is new."""
    return next((name for name in renamed.get(str(old), ()) if name in known), None)
