"""The status of an experiment until its last run is done: in place in a terminal, or as a log."""

import os
import shutil
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import click

from ltdm.pipeline.status import (
    NetworkStatus,
    format_summary,
    format_table,
    network_statuses,
    table_lines,
)

OPEN_SCREEN, CLOSE_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Take the terminal's second screen, without a cursor, and give back the first as it was."""
HOME, END_LINE, END_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
"""Go to the first line; erase the rest of a line, and all lines below."""
RESIZE_CHECK = 0.2  # seconds
ORDER = ("failed", "stopped", "silent", "waiting", "trained", "sampled", "scored")
"""Which networks a low terminal shows first, after those in training."""


def watch(results: Path, every: float) -> None:
    """Show the status of a results folder every so many seconds, until its last run is done.

    Ctrl-C ends it too. It raises what `network_statuses` does.
    """
    in_place = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    display = _Screen(results) if in_place else _Log()
    try:
        with display:
            while True:
                statuses = network_statuses(results)
                display.show(statuses)
                if not any(status.is_due for status in statuses):
                    break
                display.wait(every)
    except KeyboardInterrupt:
        return
    if in_place:
        click.echo(format_table(statuses))
    click.echo("No network is left to train, sample or score.")


class _Log(AbstractContextManager[None]):
    """Prints the table at first, and then a line for each network whose state has changed."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str, int], str] = {}

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, statuses: list[NetworkStatus]) -> None:
        # The seconds of a silent training are no change.
        states = {s.network: s.word if s.word == "silent" else s.state for s in statuses}
        changed = [s for s in statuses if states[s.network] != self.states.get(s.network)]
        if not self.states:
            click.echo(format_table(statuses))
        elif changed:
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            for status in changed:
                click.echo(f"{now} {'/'.join(map(str, status.network))}: {status.state}")
            click.echo(f"{now} {format_summary(statuses)}")
        self.states = states

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


class _Screen(AbstractContextManager[None]):
    """Draws the table over the one before, on the terminal's second screen."""

    def __init__(self, results: Path) -> None:
        self.results, self.statuses = results, list[NetworkStatus]()

    def __enter__(self) -> None:
        click.echo(OPEN_SCREEN, nl=False)

    def __exit__(self, *_: object) -> None:
        click.echo(CLOSE_SCREEN, nl=False)

    def show(self, statuses: list[NetworkStatus]) -> None:
        self.statuses = statuses
        self._draw(shutil.get_terminal_size())

    def wait(self, seconds: float) -> None:
        """Wait, and draw again where the terminal gets another size."""
        end, size = time.monotonic() + seconds, shutil.get_terminal_size()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, RESIZE_CHECK))
            if size != (size := shutil.get_terminal_size()):
                self._draw(size)

    def _draw(self, size: os.terminal_size) -> None:
        """Write all lines at once, each over the old one, so that nothing flickers."""
        title = f"{self.results} at {time.strftime('%H:%M:%S')}; Ctrl-C ends the watch"
        lines = [title, "", *frame(self.statuses, size.lines - 2)]
        cut = [line[: size.columns] + END_LINE for line in lines[: size.lines]]
        click.echo(HOME + "\n".join(cut) + END_SCREEN, nl=False)


def frame(statuses: list[NetworkStatus], height: int) -> list[str]:
    """Return the table and its summary as lines, where possible at most `height` of them.

    If the table has more rows than that, those in training come first, and a line counts the rows
    that are hidden.
    """
    header, *rows = table_lines(statuses)
    summary, room = ["", format_summary(statuses)], height - 3
    if len(rows) <= room:
        return [header, *rows, *summary]
    order = sorted(range(len(rows)), key=lambda k: _rank(statuses[k]))
    shown, hidden = order[: max(room - 1, 1)], order[max(room - 1, 1) :]
    more = format_summary([statuses[k] for k in hidden], "more network")
    return [header, *(rows[k] for k in shown), f"... {more}", *summary]


def _rank(status: NetworkStatus) -> int:
    return -1 if status.word not in ORDER else ORDER.index(status.word)
