"""The page's document, from a template and the contents of a results folder."""

import hashlib
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from ltdm import __version__
from ltdm.page import charts
from ltdm.page.origin import read_origin
from ltdm.page.sections import Contents
from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import write_text
from ltdm.plumbing.host import user_cache
from ltdm.plumbing.request import Request
from ltdm.reporting.html import asset, render

VEGA_EMBED = "window.vegaEmbed = vegaEmbed;"  # what the page uses of Vega
END = "\n// the end"


def run(request: Request, *, manifest: Path, others: list[Path], page: Path) -> None:
    """Write the page of the results folder in which the manifest is: the rule `page`."""
    write_page(manifest.parent, page)


def write_page(results: Path, output: Path) -> None:
    """Write the page of a results folder to `output`.

    Raises:
        LtdmError: The folder has no tables, or one of its files is damaged.
    """
    contents = Contents(results)
    sections = [section for section in contents.sections() if section.blocks]
    specs = [chart.spec for s in sections for block in s.blocks for chart in block.charts]
    text = render(
        "page.html",
        title=results.resolve().name,
        version=__version__,
        compared=contents.compared,
        asked=contents.asked(),
        runs=[(run, charts.look_of(i)) for i, run in enumerate(contents.runs)],
        datasets=contents.datasets,
        sections=sections,
        origin=read_origin(results, contents.network_records()),
        style=asset("style.css") + asset("page.css"),
        specs=specs,
        vega=_vega().replace("</script", "<\\/script"),
        scripts=[asset("tables.js"), asset("page.js")],
    )
    write_text(output, text)


def _vega() -> str:
    """Return the JavaScript that draws the charts.

    It takes two seconds to put together, so it is kept in the user's cache.
    """
    made_of = f"{version('vl-convert-python')} {charts.VEGA_LITE} {VEGA_EMBED}"
    name = f"vega-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.js"
    with suppress(OSError, RuntimeError, ValueError):  # RuntimeError: there is no home
        file = user_cache() / "ltdm" / name
        text = file.read_text(encoding="utf-8")
        if text.endswith(END):  # else somebody cut it off
            return text
    import vl_convert

    text = vl_convert.javascript_bundle(VEGA_EMBED, vl_version=charts.VEGA_LITE) + END
    with suppress(OSError, RuntimeError, LtdmError):
        write_text(user_cache() / "ltdm" / name, text)
    return text
