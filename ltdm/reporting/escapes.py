"""Names as users write them, escaped for what reads them: LaTeX, Markdown, Matplotlib."""

import re
import unicodedata

from ltdm.reporting.cells import FEW_IMAGES_MARK, NOT_SIGNIFICANT

TEX_MARKS = {
    "\u2191": r"$\uparrow$",
    "\u2193": r"$\downarrow$",
    "\u221e": r"$_\infty$",
    "\u00b1": r"$\pm$",
    FEW_IMAGES_MARK: r"$^\dagger$",
    NOT_SIGNIFICANT: r"$^\approx$",
}
"""The signs of ltdm's own texts."""
TEX_SPECIAL = {
    **{sign: f"\\{sign}" for sign in "#$%&_{}"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # a plain one is a closing quotation mark too, but active in some languages
    "*": "{*}",  # at the start of a line, these would belong to the row's end, \\
    "[": "{[}",
    "]": "{]}",
}
TEX_LIGATURE = re.compile(r"([-`',!?])(?=[-`',])")
"""Signs that become another sign if the next one follows: -- is a dash."""
TEX_LETTER = re.compile("[ -~À-ÖØ-öø-ÿ]")
"""Characters that pdfLaTeX has without a package: those of Western Europe."""
NOT_IN_TEX = set("ÐÞðþ")
MARKDOWN_SPECIAL = re.compile(r"[\\`*<|~$&\[\]]|(?<![^\W_])_|_(?![^\W_])")
"""Signs that can mean something in a table's cell; an underscore within a word means itself."""
MAX_LABEL = 30
"""Characters of a name in a figure; with longer ones no room is left for the panels."""


def one_line(text: object) -> str:
    """Return text in one line: white space is a single space, a control character U+FFFD."""
    line = unicodedata.normalize("NFC", " ".join(str(text).split()))
    return "".join("\ufffd" if unicodedata.category(c) == "Cc" else c for c in line)


def escape_tex(text: object) -> str:
    """Return text for LaTeX, without commands; of other scripts the code points, as U+4E2D."""

    def escape(sign: str) -> str:
        if sign in TEX_MARKS or sign in TEX_SPECIAL:
            return TEX_MARKS.get(sign) or TEX_SPECIAL[sign]
        known = TEX_LETTER.match(sign) and sign not in NOT_IN_TEX
        return sign if known else f"U+{ord(sign):04X}"

    return TEX_LIGATURE.sub(r"\1{}", "".join(map(escape, one_line(text))))


def escape_markdown(text: object) -> str:
    """Return text for a cell of a Markdown table, or a line below it."""
    return MARKDOWN_SPECIAL.sub(r"\\\g<0>", one_line(text))


def escape_label(text: object) -> str:
    """Return text for Matplotlib, which takes `$` for mathematics and `_` for a hidden label."""
    label = one_line(text)
    if len(label) > MAX_LABEL:
        label = f"{label[: MAX_LABEL - 1]}\u2026"
    return f"{' ' * label.startswith('_')}{label}".replace("$", r"\$")
