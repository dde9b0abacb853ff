"""Names of 0.1.0 and their new ones, so that an old name is refused with the new one.

They are keys and values of a config, columns of tables, subcommands and their options, and
environment variables. A key that was removed has the reason in place of a new name.
"""

import re
from collections.abc import Container

KEYS: dict[str, tuple[str, ...]] = {
    "augment_chance": ("augment_prob",),
    "bad_files": ("on_bad_file",),
    "batch": ("batch_size",),
    "bench": ("bench_file",),
    "betas": ("adam_betas",),
    "blocks": ("num_res_blocks",),
    "cap": ("max_per_class",),
    "checkpoint": ("import_checkpoint",),
    "clip": ("grad_clip",),
    "clip_x0": ("clip_denoised",),
    "common_step": ("shared_step",),
    "draw": ("point_seed",),
    "draws": ("noise_draws",),
    "ema": ("ema_decay",),
    "falls_after": ("lr_decay_images",),
    "features": ("feature_dim", "extractors"),
    "g": ("g_variant",),
    "groups": ("norm_groups",),
    "guide": ("guide_run",),
    "images": ("num_images",),
    "levels": ("bins", "noise_levels"),
    "likelihoods": ("kl_samples",),
    "max_minutes": ("max_runtime_minutes",),
    "mirror": ("flip",),
    "neighbours": ("k",),
    "order": ("update_order",),
    "points": ("points_per_class",),
    "posthoc": ("posthoc_ema",),
    "progress": ("term_weighting",),
    "rc_weight": ("commitment_weight",),
    "reference": ("reference_split",),
    "runs": ("num_clusterings",),
    "runs_per_gpu": ("jobs_per_gpu",),
    "seed": ("subset_seed",),
    "shots": ("shot_bounds",),
    "side": ("resolution",),
    "sigma_rel": ("ema_sigma_rel",),
    "table": ("table_columns",),
    "target": ("label_distribution",),
    "tells": ("noise_conditioning",),
    "uncertainty": ("logvar",),
    "uncertainty_features": ("logvar_channels",),
    "updates": ("steps",),
    "warmup": ("warmup_steps",),
    "zero_attention": ("zero_init_attention",),
}
"""Old key -> its new names; which one applies depends on the section."""
REMOVED = {
    "parallel": "an ensemble trains its shards one after the other in one job; leave it out",
    "shards_per_gpu": "jobs share a GPU by `jobs_per_gpu` in site.yaml; leave it out",
    "thin": "every row of the batch is used; leave it out",
}
"""Removed key -> what replaced it."""
VALUES: dict[str, tuple[str, ...]] = {
    "forced": ("mp",),
    "grid": ("sampler",),
    "karras": ("ada",),
    "level": ("snr",),
    "log-sigma": ("log_sigma",),
    "multi-gpu": ("futurexiang",),
    "official": ("nvlabs",),
    "rank": ("quantile",),
    "raw": ("last",),
    "refuse": ("error",),
    "t": ("timestep",),
}
"""Old value of an option -> its new names."""
NOTES = {("blocks", "num_res_blocks"): ", and is one less: it counts the way down"}
"""(old key, new key) -> a note, where the value changed its meaning as well."""
OTHER_NAMES = {"fid": "frechet", "is": "inception-score"}
"""What papers call it, in lower case -> its name."""
VARIABLES = {
    "LTDM_ASKED": "LTDM_RUN_SNAPSHOT",
    "LTDM_SECONDS": "LTDM_TIME_LIMIT_SECONDS",
    "LTDM_RUNS_PER_GPU": "LTDM_JOBS_PER_GPU",
}
"""Old environment variable -> its new name."""
COMMANDS = {
    "bench-scores": "bench scores",
    "bench-theory": "bench theory",
    "posthoc": "ema",
}
"""Old subcommand of `ltdm` -> its new name."""
COMMAND_OPTIONS = {
    "--classes": "--num-classes",
    "--features": "--extractor",
    "--images": "--num-images",
    "--inception": "--inception-images",
    "--length": "--feature-dim",
    "--side": "--resolution",
    "--updates": "--steps",
    "--work": "--cache-dir",
}
"""Old option of a subcommand -> its new name."""
COLUMN = re.compile(r"((?:[a-z0-9-]+\.)?)(mq|memorized|unseen)-(\d\d)(@.*)?")


def find_new_name(
    old: object, renamed: dict[str, tuple[str, ...]], allowed: Container[str]
) -> str | None:
    """Return the new name, among the names `allowed`, of an old one; None if there is none."""
    return next((name for name in renamed.get(str(old), ()) if name in allowed), None)


def new_column(column: str) -> str | None:
    """Return the new name of a table column of 0.1.0: `memorized-40@tail`; None if it is new."""
    old = COLUMN.fullmatch(column)
    if not old:
        return None
    label, name, threshold, group = old.groups(default="")
    new = f"-0.{threshold}{group}"
    return f"{label}memorized{new}:baseline" if name == "unseen" else f"{label}{name}{new}"
