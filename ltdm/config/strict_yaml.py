"""YAML as configs have it: numbers as in YAML 1.2, and no traps."""

import re
from typing import Any

import yaml

MAX_NODES = 1_000_000
"""Most values in a file, where each alias counts as a copy."""


class TrapError(yaml.YAMLError):
    """Valid YAML that means something else than it seems, such as 010, which is 8."""

    def __init__(self, node: yaml.Node, message: str):
        super().__init__(message)
        self.line = node.start_mark.line + 1


class StrictLoader(yaml.SafeLoader):
    """YAML loader that reads 2e-4 as a number, as in YAML 1.2, and refuses traps of YAML 1.1.

    Traps are 010, which is 8 there, 1:30, which is 90, and a key that is there twice. Values that
    do not suit their tag, and aliases that make a value endless or huge, are refused too, so that
    loading raises nothing but `yaml.YAMLError`.
    """

    def get_single_data(self) -> Any:
        """Return the value of the only document; refuse one that is endless or nested too deep."""
        try:
            node = self.get_single_node()
            if node is None:
                return None
            if count_nodes(node, {}) > MAX_NODES:
                raise TrapError(
                    node, f"aliases make it larger than {MAX_NODES:,} values; use fewer"
                )
            return self.construct_document(node)
        except RecursionError as error:
            fault = yaml.MarkedYAMLError(problem="too deeply nested", problem_mark=self.get_mark())
            raise fault from error

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node; refuse text that is none of its tag, such as !!int x."""
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # the constructors of tags may raise anything
            tag = node.tag.rpartition(":")[2]
            raise TrapError(node, f"{node.value!r} is no {tag}; correct it") from error

    def compose_mapping_node(self, anchor: dict[Any, Any]) -> yaml.MappingNode:
        """Refuse a key that is there twice; keys merged by `<<` are added later."""
        node = super().compose_mapping_node(anchor)
        names = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in names:
                raise TrapError(key, f"the key {key.value!r} is there twice; leave one out")
            names.add(key.value if isinstance(key.value, str) else "")
        return node

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Return a number; refuse one that YAML 1.1 reads as octal or as base 60."""
        text = self.construct_scalar(node)
        if octal := re.fullmatch(r"([-+]?)0([0-9_]+)", text):
            decimal = octal[1] + (octal[2].replace("_", "").lstrip("0") or "0")
            message = f"{text} is a number that YAML 1.1 reads as octal; write {decimal} or"
            raise TrapError(node, f'{message} "{text}"')
        if ":" in text:
            message = f'{text} is a number that YAML 1.1 reads in base 60; write "{text}" in quotes'
            raise TrapError(node, message)
        is_int = node.tag.endswith(":int")
        return self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)


for number_type in ("int", "float"):
    StrictLoader.add_constructor(f"tag:yaml.org,2002:{number_type}", StrictLoader.construct_number)
StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def count_nodes(node: yaml.Node, counts: dict[int, int]) -> int:
    """Return the number of values below a node, itself included; an alias counts as a copy.

    `counts` holds the numbers of nodes that were counted before, by `id`.

    Raises:
        TrapError: A value holds itself.
    """
    if (known := counts.get(id(node))) is not None:
        if not known:
            raise TrapError(node, "it holds itself by an alias; write it without")
        return known
    counts[id(node)] = 0  # until it is counted
    children = node.value if isinstance(node, yaml.CollectionNode) else ()
    pairs = isinstance(node, yaml.MappingNode)
    counts[id(node)] = 1 + sum(
        count_nodes(part, counts) for child in children for part in (child if pairs else (child,))
    )
    return counts[id(node)]
