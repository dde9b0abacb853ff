"""Names as users write them, escaped for what reads them: LaTeX, Markdown, Matplotlib."""

import re
import unicodedata

from ltdm.reporting.cells import FEW_IMAGES_MARK, NOT_ABOVE_ZERO_MARK, NOT_SIGNIFICANT

TEX_MARKS = str.maketrans(
    {
        "\u2191": r"$\uparrow$",
        "\u2193": r"$\downarrow$",
        "\u221e": r"$_\infty$",
        "\u00b1": r"$\pm$",
        FEW_IMAGES_MARK: r"$^\dagger$",
        NOT_ABOVE_ZERO_MARK: r"$^\ddagger$",
        NOT_SIGNIFICANT: r"$^\approx$",
    }
)
"""The signs of ltdm's own texts, in LaTeX."""
TEX_ESCAPES = TEX_MARKS | str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "#$%&_{}"},
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\char34{}",  # some languages make it a command
        "*": "{*}",  # at the start of a line, these would belong to the last line's end, \\
        "[": "{[}",
        "]": "{]}",
    }
)
TEX_LIGATURE = re.compile(r"([-`',!?])(?=[-`',])")
"""Signs that become another sign if the next one follows: -- is a dash."""
NOT_IN_TEX = re.compile("[^ -~À-ÏÑ-ÖØ-Ýß-ïñ-öø-ýÿ]")
"""Characters that pdfLaTeX lacks without a package: all but ASCII and letters of Western Europe."""
MARKDOWN_SPECIAL = re.compile(r"[\\`*<|~$&\[\]]|(?<![^\W_])_|_(?![^\W_])")
"""Signs that can mean something in a table's cell; an underscore within a word means itself."""
MAX_LABEL = 30
"""Characters of a name in a figure; longer ones would leave no room for the panels."""


def one_line(text: object) -> str:
    """Return text in one line: white space is a single space, a control character U+FFFD."""
    line = unicodedata.normalize("NFC", " ".join(str(text).split()))
    return "".join("\ufffd" if unicodedata.category(c) == "Cc" else c for c in line)


def escape_tex(text: object) -> str:
    """Return text for LaTeX, without commands; of other scripts the code points, as U+4E2D."""

    def name_unknown(sign: re.Match[str]) -> str:
        return sign[0] if ord(sign[0]) in TEX_MARKS else f"U+{ord(sign[0]):04X}"

    known = NOT_IN_TEX.sub(name_unknown, one_line(text))
    return TEX_LIGATURE.sub(r"\1{}", known.translate(TEX_ESCAPES))


def escape_markdown(text: object) -> str:
    """Return text for a cell of a Markdown table, or a line below it."""
    return MARKDOWN_SPECIAL.sub(r"\\\g<0>", one_line(text))


def escape_label(text: object) -> str:
    """Return text for Matplotlib, which takes `$` for mathematics and `_` for a hidden label.

    Of a long name the middle is left out, since runs often differ at their ends.
    """
    label = one_line(text)
    if len(label) > MAX_LABEL:
        label = f"{label[: MAX_LABEL // 2]}\u2026{label[1 - MAX_LABEL // 2 :]}"
    return f"{' ' * label.startswith('_')}{label}".replace("$", r"\$")
