"""Names in metrics.csv that would lead out of a results folder are refused, by every reader."""

import pandas as pd
import pytest

from ltdm.page.scores import read_scores
from ltdm.plumbing.errors import LtdmError
from tests.helpers.made_up_results import write_results
from tests.unit.cli.test_cli import ltdm

COLUMNS = ["dataset", "run", "seed", "sample_set", "extractor"]
ODD = ["../../x", "..", ".", "", "/etc", "a/b", "a\\b", "a\nb", "a\x1b"]


def write_scores(file, **values):
    """Write metrics.csv with a first row of usual values and a second one with these."""
    usual = {"dataset": "d", "run": "r", "seed": "0", "sample_set": "main", "extractor": "pixels"}
    pd.DataFrame([usual, {**usual, **values}]).to_csv(file, index=False)
    return file


@pytest.mark.parametrize("column", ["dataset", "run", "sample_set", "extractor"])
@pytest.mark.parametrize("name", ODD)
def test_a_name_that_is_no_folders_is_refused(column, name, tmp_path):
    file = write_scores(tmp_path / "metrics.csv", **{column: name})
    with pytest.raises(LtdmError) as error:
        read_scores(file, COLUMNS)
    assert str(error.value).startswith(
        f"{file} has the {column.replace('_', ' ')} {name!r}, which cannot be the name of a folder"
    )


@pytest.mark.parametrize("seed", ["../..", "1.5", ""])
def test_a_seed_is_a_whole_number(seed, tmp_path):
    file = write_scores(tmp_path / "metrics.csv", seed=seed)
    with pytest.raises(LtdmError, match=r"metrics\.csv is damaged"):
        read_scores(file, COLUMNS)


def test_a_comparisons_run_is_a_folder_and_a_run(tmp_path):
    file = write_scores(tmp_path / "metrics.csv", run="one/ddpm", dataset="digits (protocol 1)")
    assert len(read_scores(file, COLUMNS, of_comparison=True)) == 2
    for odd in ("one/..", "one//ddpm", "../ddpm"):
        write_scores(file, run=odd)
        with pytest.raises(LtdmError, match="which cannot be the name of a folder"):
            read_scores(file, COLUMNS, of_comparison=True)


def test_nothing_is_read_or_written_for_such_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [write_results(tmp_path / "results" / name, seeds=(0,)) for name in ("a", "b")]
    file = folders[1] / "tables/metrics.csv"
    file.write_text(file.read_text().replace("digits-lt", "../../../outside"))
    before = {*tmp_path.rglob("*")}
    for command in (["compare", *folders], ["compare", *folders[::-1]], ["page", folders[1]]):
        printed = ltdm(*command, code=1)
        assert "metrics.csv has the dataset '../../../outside'" in printed
        assert printed.count("\n") == 1
    assert {*tmp_path.rglob("*")} == before
