"""Arrays and folders of images that `ltdm score` refuses in one sentence, or clips."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.unit.external.test_score import FAKE, LABELS, REAL, formats, rows, score

__all__ = ["formats"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": FAKE / FAKE.max() * 1.0201}, "from 0 to 1; these are float64 from 0 to 1.02"),
        (
            {"images": (FAKE - FAKE.min()) / 255 - 0.0201},
            "from 0 to 1; these are float64 from -0.0201 to",
        ),
        ({"images": FAKE.astype("f4")}, "from 0 to 1; these are float32 from 0 to 2"),
        ({"images": FAKE.astype("i8")}, "must be uint8, or numbers from 0 to 1; these are int64"),
        (
            {"images": np.where(FAKE, np.nan, 0.5)},
            "from 0 to 1; these are float64 with NaN; convert them",
        ),
        ({"images": FAKE.astype("S3")}, "from 0 to 1; these are |S3"),
        ({"images": FAKE.astype([("r", "u1")])}, "from 0 to 1; these are [('r', 'u1')]"),
        ({"images": np.array(3, "u1")}, "is damaged"),
        ({"images": FAKE[..., :2]}, "must hold square images"),
        ({"images": FAKE[:, :4, :4]}, "shape (3, 4, 4) (channels, height, width), the reference"),
        ({"pictures": FAKE}, "has no array of images, but pictures; call it images or arr_0"),
        ({"images": FAKE, "labels": LABELS[1:]}, "one whole number for each of 24 images"),
        ({"images": FAKE, "labels": LABELS + 1}, "has labels from 1 to 3, but the data set has"),
        ({"images": FAKE, "labels": LABELS / 2}, "one whole number for each of 24 images"),
        ({"images": FAKE, "labels": LABELS - 1}, "some images have labels and some (below 0) have"),
        ({"images": FAKE[:0]}, "one whole number for each of 0 images"),
    ],
)
def test_arrays_that_cannot_be_scored(formats, tmp_path, arrays, message):
    with np.errstate(divide="ignore", invalid="ignore"):
        np.savez(tmp_path / "bad.npz", **arrays)
        assert message in score(tmp_path, "bad.npz", code=1)


def test_folders_that_cannot_be_scored(formats, tmp_path):
    (tmp_path / "classes/1").rename(tmp_path / "classes/cat")
    assert "folder 'cat', which is no class of the reference" in score(tmp_path, "classes", code=1)
    (tmp_path / "classes/cat").rename(tmp_path / "classes/1")
    Image.fromarray(FAKE[0, :3]).save(tmp_path / "flat/00.png")
    assert "of one size, not 6 x 3" in score(tmp_path, "flat", code=1)
    Image.fromarray(FAKE[0]).save(tmp_path / "flat/00.png")
    (tmp_path / "flat/01.png").write_bytes(b"no image")
    assert "01.png (cannot identify image file)" in score(tmp_path, "flat", code=1)
    assert "none.npz is missing" in score(tmp_path, "none.npz", code=1)
    assert "adm.npz is damaged, or no .npy of labels; " in score(
        tmp_path, "float.npy", "--labels", tmp_path / "adm.npz", code=1
    )
    np.savez(tmp_path / "huge.npz", images=REAL, labels=LABELS * 10**12)
    assert "must be 0 to C - 1 without a gap, but reach 2000000000000 in 3 classes" in score(
        tmp_path, "ours.npz", reference="huge.npz", code=1
    )
    Image.fromarray(FAKE[0]).save(tmp_path / "classes/1.png")
    assert "holds both images (1.png) and folders (0)" in score(tmp_path, "classes", code=1)
    (tmp_path / "classes/1.png").unlink()
    (tmp_path / "junk.npy").write_bytes(b"\x80\x04.")
    assert "junk.npy is damaged" in score(tmp_path, "junk.npy", code=1)
    np.save(tmp_path / "number.npy", np.array(3, np.uint8))
    assert "number.npy is damaged, or no array" in score(tmp_path, "number.npy", code=1)
    assert "are its labels; leave" in score(
        tmp_path, "classes", "--labels", tmp_path / "labels.npy", code=1
    )


@pytest.mark.parametrize("excess", [0.001, 0.0011, 0.02])
@pytest.mark.parametrize("side", [0, 1])
def test_samples_that_overshoot_are_clipped_with_one_warning(
    formats, tmp_path, caplog, excess, side
):
    """Three values are outside; within rounding errors nothing is said."""
    images = FAKE.astype("f8") / 255
    images.flat[:3] = [side] * 3
    np.savez(tmp_path / "right.npz", images=images, labels=LABELS)
    images.flat[:3] = side + (2 * side - 1) * np.array([excess, 0.0001, excess / 2])
    np.savez(tmp_path / "over.npz", images=images, labels=LABELS)
    scored = rows(score(tmp_path, "over.npz"))
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    what = "clipped 3 of 2592 pixel values, which were outside [0, 1] by up to"
    amount = f"{excess:.2g}"
    assert said == [f"{tmp_path / 'over.npz'}: {what} {amount}"] * (excess > 0.001)
    pd.testing.assert_frame_equal(scored, rows(score(tmp_path, "right.npz")))
