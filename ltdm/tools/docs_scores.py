"""The page of metrics and features, from their files; `make docs` writes it."""

from pathlib import Path

from ltdm.plumbing.registry import part_names
from ltdm.tools.docs_methods import render_part

PAGE = "docs/scores.md"
HEAD = """# Scores

<!-- Written by `make docs` from the files in ltdm/features and ltdm/metrics; do not edit. -->

An extractor turns images into features, once for the reference and once per sample set. Metrics
read features only, so another metric or another group of classes runs no network. `memorization`
instead reads the nearest training images by pixels, which are searched once per sample set; its
rows have the extractor `pixels`, whatever the config's extractors.

**Names.** Tables show FID, FID\u221e, KID and IS only for the features of `inception`, whose
weights are checked by SHA-256. For any other extractor the same numbers are called `frechet`,
`frechet-infinity`, `kid` and `inception-score`, and the table names the extractor.

**One extractor for a metric.** A metric is computed with every extractor that gives what it reads,
or with the one that it names: `{name: precision-recall, k: 3, extractor: vgg16}`.

**The reference** is the complete balanced set (`reference_split: train`, or `test`), not the
long-tailed one; only `memorization` compares with the long-tailed training set. Every value has the
numbers of real and generated images that it is computed from (`n_real`, `n_generated`).

**Halves.** With `evaluate: {tuning_half: true}` the real images of each class are split into two
halves, by draws per class, the same for all runs and seeds. All rows of distances, precision and
recall, density, coverage and PRD compare with the `reporting half`, as their `note` and the legends
of tables say. `tuning.csv` has the scores against the `tuning half`, which choose each run's sample
set and are not its result; `tuned.*` is the table of the chosen sets. Accuracy, Inception Score and
memorisation do not pair with these images, and are as without halves. The FID against half of the
images is higher than against all of them: never compare one with the other. A classifier as
extractor is trained on both halves.

**Copies.** `ltdm score` searches for copies of a prepared data set's training images. With any
other reference, `--metric memorization` takes the reference as the training set. In the report,
*Memorisation* shows each sample set's likeliest copies beside their nearest training images
(`neighbours/memorization.png`), for head, medium and tail if there are such groups.

**Few images.** Distances between Gaussians are biased upward if there are few images for the number
of features: for 2,048 features, 500 images per class are very few. Such values are marked (\u2020):
compare them between runs with the same number of images only. `kid` has no such bias.
`frechet-infinity` removes the leading term of the bias, and more than that where images are few.

**Errors.** `error` in metrics.csv is the standard error over generated images, with the reference
and the number of images per class held fixed: what a bootstrap over generated images would give. It
is empty for recall, which has none. For a distance marked \u2020 it is
too large, and for `worst` it is that of the class that turned out worst.

**Distances near 0.** `kid` and `frechet-infinity` have no bias, so where the true distance is 0
they are about as often negative as positive. They are never clipped. A value whose 95 % interval
reaches 0 has the note `not above 0`, and in the main table the mark \u2021, with several seeds by
the interval over seeds. Between a set and itself both are negative, since the sets share their
images, while `frechet` is 0 and precision, recall, coverage and PRD are 1.

**Tables** show the mean and the standard deviation over seeds; for one seed, the standard error.
`differences.csv` and `vs_baseline.*` hold differences from `evaluate.baseline`, paired by seed,
with a 95 % interval. Over several seeds it is Student's. For one seed it is normal, from the two
standard errors as if the two sets of images were independent, and does not include the variation
between trainings. In the main table \u2248 marks values that are not significantly different from
the best by this interval. The best is chosen on the same numbers and many are compared, so a single
unmarked value is weak evidence. With two seeds nearly all are marked; use three or more for
conclusions.

**Groups.** `all`; `class-<k>`; thirds of the classes by training count (`head`, `medium`, `tail`);
shots by the count itself (`many-shot`: over 100 training images, `medium-shot`: 20 to 100,
`few-shot`: under 20; `evaluate.shot_bounds`); `worst`, the class with the worst value, which the
note names. Images without labels are scored as `all` only, and have no accuracy.

# Extractors
"""


def write(root: Path) -> None:
    """Write the page into the checkout at `root`."""
    (root / PAGE).write_text(text(), encoding="utf-8")


def text() -> str:
    """Return the page in Markdown."""
    features = "".join(render_part("extractor", name) for name in part_names("extractor"))
    metrics = "".join(render_part("metric", name) for name in part_names("metric"))
    return f"{HEAD}{features}\n# Metrics\n{metrics}"
