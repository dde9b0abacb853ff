"""Names that a file system, YAML or an option allows, and that mean something to a format."""

UGLY = (
    *("$$", "a$b$c", r"$\frac$", r"\$x$", r"back\slash \{", "{", "}", "#~^", "50% & more", "a_b"),
    *("_hidden", "__init__", "a|b", "*bold*", "**", "`code`", "[link](x)", "[0]", "<b>", "&amp;"),
    *("~~gone~~", "a -- b --- c", "``q''", "?`", 'say "x", twice', "'", "=1+1", "@", "a;b", "a/b"),
    *("\u00e9t\u00e9 Stra\u00dfe", "e\u0301", "\u4e2d\u6587", "\u2248 \u2191", "\u03b1", "\u2026"),
    *("\U0001f431", "\u0110", "\u00de", "\u00a0", "line\nbreak", "tab\there", "bell\x07", "cr\rx"),
    *("NA", "null", "nan", "1e5", "0", "true", "inf", "x" * 250, " spaced  out ", "% comment"),
)
