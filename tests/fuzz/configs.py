"""Configs with changed values, keys and text, given to `check`, `plan` and a dry run."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ltdm.config.merge import read_config
from tests.fuzz._mutations import ODD_VALUES, Rng, chance, ltdm, mutate_bytes, mutate_values, pick
from tests.helpers.dry_runs import dry_run

CUT = 40
HERE, CONFIGS = Path(__file__).parent, Path(__file__).parents[2] / "config"
FILES = (
    HERE / "every-part.yaml",
    *(CONFIGS / f"{name}.yaml" for name in ("smoke", "demo", "memorization-demo", "theory")),
)
"""Configs whose data need no download."""
ODD_TEXTS = yaml.safe_load((HERE / "odd-texts.yaml").read_text(encoding="utf-8"))
NINES = (f"&l{i} [{', '.join([f'*l{i - 1}' if i else 'x'] * 9)}]" for i in range(9))
ODD_NESTING = (
    f"[{', '.join(NINES)}]",  # of 9 ** 9 entries
    "&a [*a]",
    "&a {b: *a}",
    "[" * 20,
    "[" * 3000,
    "{a: " * 3000 + "}" * 3000,
    "[" * 200 + "]" * 200,
)
"""Values that aliases make endless or huge, and deeply nested ones."""
OPTIONS = ("--dataset", "--run", "--sample-set", "--seed", "--device", "--bench", "--tflops")
DRY_RUNS = 0.15
"""Share of accepted configs that Snakemake plans too, which takes longer than all else."""


def attempt(rng: Rng, folder: Path) -> str:
    """Check and plan one changed config."""
    config = folder / "config.yaml"
    file = pick(rng, FILES)
    done = [file.stem, *(change_values if chance(rng, 0.8) else change_text)(rng, file, config)]
    files = [config]
    if chance(rng, 0.05):  # a second file, over the first or inherited by it
        other = folder / "other.yaml"
        done += change_text(rng, pick(rng, FILES), other)
        files += [other] * chance(rng, 0.5)
    arguments = [*files, "--results", folder / "results"]
    options = odd_options(rng) if chance(rng, 0.1) else []
    done += map(str, options)
    plan = chance(rng, 0.3)
    ltdm("plan" if plan else "check", *arguments, *(options if plan else options[:-2]))
    if not options and chance(rng, DRY_RUNS):
        dry_run(config, folder)
    return "; ".join(done)


def change_values(rng: Rng, file: Path, config: Path) -> list[str]:
    """Write a config with one to three values or keys changed; return what was done."""
    values = copy.deepcopy(values_of(file))
    done = [mutate_values(rng, values) for _ in range(pick(rng, (1, 1, 1, 2)))]
    config.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    return done


@cache
def values_of(file: Path) -> dict[str, Any]:
    """Return the values of a config, with those of the files that it inherits."""
    return read_config([file])


def change_text(rng: Rng, file: Path, config: Path) -> list[str]:
    """Write a config with its text changed; return what was done."""
    text, change = file.read_text(encoding="utf-8"), int(rng.integers(6))
    lines = text.splitlines(keepends=True)
    at = int(rng.integers(len(lines)))
    if change == 0:
        config.write_bytes(mutate_bytes(rng, text.encode()))
        return ["bytes"]
    if change == 1:
        encoding = pick(rng, ("utf-16", "utf-8-sig", "utf-32", "cp500"))
        config.write_text(text, encoding=encoding)
        return [encoding]
    if change == 2:
        lines[at] = lines[at].partition(":")[0] + f": {pick(rng, ODD_NESTING)}\n"
    elif change == 3:
        lines.insert(at, lines[int(rng.integers(len(lines)))])  # a key that is there twice
    elif change == 4:
        old = lines[at]
        column = int(rng.integers(len(old)))
        lines[at] = old[:column] + pick(rng, ODD_TEXTS) + old[column:]
    else:
        lines.insert(at, pick(rng, ODD_TEXTS))
    config.write_text("".join(lines), encoding="utf-8", newline="")
    return [f"line {at + 1}: {lines[at][:60]!r}"]


def odd_options(rng: Rng) -> list[Any]:
    """Return options of the command line, the last of which only `plan` has."""
    texts = ("ddpm", "digits-lt", "main", "0", "-1", "9" * 30, "nan", "1e400", "", "x,y", "a\nb")
    values = [*texts, *(str(value) for value in ODD_VALUES if "\0" not in str(value))]
    first, last = pick(rng, OPTIONS[:5]), pick(rng, OPTIONS[5:])
    return [first, pick(rng, values)[:200], last, pick(rng, values)[:200]]
