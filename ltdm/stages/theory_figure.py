"""Rows and networks of a sweep -> one of its figures."""

from pathlib import Path

from ltdm.plumbing.request import Request
from ltdm.reporting import style
from ltdm.reporting.rows import THEORY_COLUMNS, read_rows, write_rows
from ltdm.theory import curves, figures

CURVES = {
    "v-curve": (curves.v_curve_frame, figures.plot_v_curve),
    "nash-gap": (curves.nash_gap_frame, figures.plot_nash_gap),
    "generalisation": (curves.generalisation_frame, figures.plot_generalisation),
}


def run(request: Request, *, rows: Path, networks: Path, pdf: Path, png: Path, csv: Path) -> None:
    """Write a figure of a sweep from the rows and networks of the stage `theory`, and its numbers.

    Score fields and clouds are of the first seed and tail: of the exact scores, of the networks at
    the smallest beta, and of those at the beta that is best for the worst class. `request` has
    `spec`, the sweep's options that are not at their defaults; `sweep`, its name; and `figure`, one
    of `ltdm.theory.names.FIGURES`.
    """
    style.use()
    metric_rows, name, figure = read_rows(rows, THEORY_COLUMNS), request["sweep"], request["figure"]
    if figure in CURVES:
        make_frame, plot = CURVES[figure]
        frame = make_frame(metric_rows)
        picture = plot(frame, name)
    else:
        from ltdm.theory import examples  # curves are drawn without PyTorch

        frame, picture = examples.draw(figure, name, request["spec"], networks, metric_rows)
    write_rows(frame, csv)
    style.save(picture, pdf, png)
