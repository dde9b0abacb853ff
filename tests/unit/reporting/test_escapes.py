"""Names in tables and figures: each format shows them as they are, or says what it cannot show."""

import html
import io
import re
import warnings
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import jinja2
import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_string
from markdown_it import MarkdownIt
from matplotlib.text import Text

from ltdm.reporting import figures, points, style
from ltdm.reporting.escapes import escape_label, escape_tex, one_line
from ltdm.reporting.frames import training_frame
from ltdm.reporting.rows import read_classes, read_rows, write_rows
from ltdm.reporting.samples import plot_samples
from ltdm.reporting.tables import main_table
from ltdm.reporting.writing import to_markdown
from ltdm.theory.panels import PointCloud, plot_clouds
from tests.helpers.tidy_rows import tidy
from tests.helpers.ugly_names import UGLY

ROOT = Path(__file__).parents[3]
TABLE = main_table(tidy({name: [k, k + 1.0] for k, name in enumerate(UGLY)}), ["frechet"])
IMAGES, LABELS = np.zeros((2, 1, 8, 8), np.uint8), np.arange(2)
CLOUD = np.random.default_rng(0).normal(size=(8, 2, 1, 1))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("#~^", r"\#\textasciitilde{}\textasciicircum{}"),
        (r"\{$&%_}", r"\textbackslash{}\{\$\&\%\_\}"),
        ("<a|b>", r"\textless{}a\textbar{}b\textgreater{}"),
        ("[0]*", "{[}0{]}{*}"),
        ("a--b", "a-{}-b"),
        ("\u00e9 e\u0301", "\u00e9 \u00e9"),
        ("\u4e2d\u2248", r"U+4E2D$^\approx$"),
        ("a\n\nb\x07", "a bU+FFFD"),
    ],
)
def test_a_name_in_latex(name, text):
    assert escape_tex(name) == text


def test_a_markdown_table_shows_each_name():
    rendered = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(to_markdown(TABLE))
    )
    cells = re.findall(r"<t[dh]>(.*?)</t[dh]>", rendered, re.DOTALL)
    assert [html.unescape(cell) for cell in cells] == ["run", *map(one_line, UGLY)]
    assert to_markdown(TABLE).count("\\_") == 5, "an underscore within a word stays as it is"


def test_a_caption_of_the_report_shows_each_name():
    names = defaultdict(lambda: "name_", seed="0", metric="kid", figure="v-curve", extractors=["x"])
    snakemake = SimpleNamespace(wildcards=names, params={"request": names})
    for caption in (ROOT / "workflow/report").glob("*.rst"):
        text = jinja2.Template(caption.read_text()).render(snakemake=snakemake)
        warnings_of_docutils = io.StringIO()
        settings = {"warning_stream": warnings_of_docutils}
        page = publish_string(text, writer="html", settings_overrides=settings).decode()
        assert warnings_of_docutils.getvalue() == "", caption
        assert page.count("name_") == text.count("name_")


def test_rows_are_read_as_they_were_written(tmp_path):
    file = tmp_path / "rows.csv"
    for names in (list(UGLY), ["1", "2"], ["true", "true"], ["inf", "nan"]):
        for column in ("run", "dataset", "extractor", "metric", "group"):
            write_rows(pd.DataFrame({column: names, "value": 1}), file)
            assert read_rows(file)[column].tolist() == names
        write_rows(pd.DataFrame({"name": names, "train": 1}), file)
        assert read_classes(file)["name"].tolist() == names


@pytest.mark.parametrize("name", ["$$", r"$\frac$", "_x", "bell\x07", "x" * 250])
def test_figures_show_the_name_of_a_class(name, tmp_path):
    style.use()
    counts = pd.DataFrame({"class": LABELS, "name": [name, "b"], "train": [9, 3]})
    scatter = points.plot_points({"real": (CLOUD, np.arange(8) % 2)}, [name, "b"])
    assert len(scatter.legends[0].get_texts()) == 2
    cloud = PointCloud(CLOUD[..., 0, 0], CLOUD[..., 0, 0], 1.0)
    plots = [
        plot_samples({"real": (IMAGES, LABELS)}, counts),
        scatter,
        plot_clouds({(name, "exact"): cloud}, "toy"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for plot in plots:
            texts = [text.get_text() for text in plot.findobj(Text)]
            style.save(plot, tmp_path / "a.pdf", tmp_path / "a.png")
            assert any(escape_label(name) in text for text in texts), texts


def test_signs_that_the_font_lacks_are_named_once(tmp_path, caplog):
    style.use()
    counts = pd.DataFrame({"class": LABELS, "name": ["\u4e2d\u6587", "b"], "train": [9, 3]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        style.save(plot_samples({"real": (IMAGES, LABELS)}, counts), tmp_path / "a.png")
    (record,) = caplog.records
    assert "a.png" in record.message
    assert "\u4e2d, \u6587" in record.message
    assert "font.family" in record.message


def test_long_names_of_runs_leave_room_for_the_lines(tmp_path):
    style.use()
    names = [f"r{k}-{'abcdefghi-' * 9}{k}" for k in range(6)]
    histories = [pd.DataFrame({"run": name, "step": [1, 2], "denoise": 0.5}) for name in names]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of older versions of Matplotlib
        frame = training_frame(pd.concat(histories))
        figure = figures.plot_training_loss(frame, "x", style.line_looks(names))
        style.save(figure, tmp_path / "a.png")
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert all(a[-1] == n[-1] and a[:9] == n[:9] for a, n in zip(shown, names, strict=True))
