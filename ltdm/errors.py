"""The one exception that users are meant to see."""


class LtdmError(Exception):
    """A mistake the user can mend, told in one sentence: what, where, and the way out."""


class OptionError(LtdmError):
    """A config value that cannot be used; `path` leads to it from where parsing began."""

    def __init__(self, path: tuple[str, ...], message: str):
        super().__init__(f"{'.'.join(path)}: {message}" if path else message)
        self.path = path
        self.message = message
