"""MkDocs hook (see mkdocs.yml) for pages of the documentation site outside docs/."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

PAGES = {
    "index.md": "README.md",
    "config.md": "config/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Page of the site -> its file in the checkout; any other page is docs/<page>."""
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]*)(#[^)\s]*)?\)|(!\[[^\]]*\]\()([^)\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages outside docs/ to the site."""
    root = Path(config.config_file_path).parent
    for page, source in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(root / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links between files into links between pages, and links to other files into text."""
    source = PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    pages = {file: name for name, file in PAGES.items()}

    def target(path: str) -> str | None:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        inside = path.removeprefix("docs/") if path.startswith("docs/") else None
        return pages.get(path, inside)

    def rewrite(link: re.Match[str]) -> str:
        text, path, anchor, picture, image = link.groups()
        if picture:
            return f"{picture}{target(image) or image})"
        if not path or "://" in path:
            return link[0]
        new = target(path)
        return f"[{text}]({new}{anchor or ''})" if new else text

    return LINK.sub(rewrite, markdown)
