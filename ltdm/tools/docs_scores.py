"""The page of metrics and features, made from their files. `make docs` writes it."""

from pathlib import Path

from ltdm.plumbing.registry import names
from ltdm.tools.docs_methods import section

PAGE = "docs/scores.md"
HEAD = """# Scores

<!-- Written by `make docs` from the files in ltdm/features and ltdm/metrics; do not edit. -->

An extractor turns images into features, once for the reference and once for each sample set;
metrics read features alone. So another metric, or another group of classes, runs no network.
`memorization` reads the nearest training images instead, by pixels, which are looked up once for
each sample set; its rows are those of the features `pixels`, whatever the extractors.

**Names.** FID, FID\u221e, KID and IS stand in tables only where the features are `inception`'s,
whose weights are checked by SHA-256. In every other space the same numbers are called `frechet`,
`frechet-infinity`, `kid` and `inception-score`, and the table names the space.

**The reference** is the whole balanced set (`reference_split: train`, or `test`), not the
long-tailed one; only `memorization` compares with the long-tailed training set. Every value says
how many real and generated images it is about (`n_real`, `n_fake`).

**Copies.** `ltdm score` looks for copies of a prepared data set's training images; where the
reference is any other set of images, `--metric memorization` takes it for the training set. In the
report, *Memorisation* shows each sample set's likeliest copies beside the training images that are
nearest to them (`neighbours/memorization.png`), for head, medium and tail where there are such.

**Few images.** Distances of Gaussians are biased upward where images are few for the features: for
2,048 features, 500 images of a class are very few. Such values are marked (\u2020): compare them
between runs with the same number of images, never with those of other numbers. `kid` has no such
bias and stands beside them; `frechet-infinity` takes the first part of it away, and where images
are few more than that.

**Errors.** `error` in metrics.csv is the standard error over generated images, with the reference
and the number of images of each class held fixed: what a bootstrap that draws the images anew would
give. It is empty where there is none: for recall, and for `frechet-infinity`. That of a distance
marked \u2020 is too large, and that of `worst` is of the class that turned out worst.

**Tables** show the mean and the standard deviation over seeds; of one seed, the standard error.
`differences.csv` and `vs_baseline.*` hold differences from `evaluate.baseline`, paired by seed,
with a 95 % interval: Student's over seeds; of one seed, normal from the two standard errors as if
the images had nothing in common, which says nothing of how training varies. In the main table
\u2248 marks what no such interval tells from the best. The best is picked from the same numbers and
many are compared, so a single unmarked value is weak evidence. With two seeds nearly all is marked;
take three or more to settle anything.

**Groups.** `all`; `class-<k>`; thirds of the classes by training count (`head`, `medium`, `tail`);
shots by the count itself (`many-shot`: over 100 training images, `medium-shot`: 20 to 100,
`few-shot`: under 20; `evaluate.shot_bounds`); `worst`, the class with the worst value, which the
note names. Of images without labels only `all` is scored, and no accuracy.

# Features
"""


def write(root: Path) -> None:
    """Write the page into the checkout at `root`."""
    (root / PAGE).write_text(text(), encoding="utf-8")


def text() -> str:
    """Return the page in Markdown."""
    features = "".join(section("extractor", name) for name in names("extractor"))
    metrics = "".join(section("metric", name) for name in names("metric"))
    return f"{HEAD}{features}\n# Metrics\n{metrics}"
