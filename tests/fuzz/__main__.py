"""Fuzzing: odd files of every kind, which ltdm must take, or refuse in one sentence.

`make fuzz`, or `python -m tests.fuzz --seconds 600 --seed 0`. Every case has a number, and is the
same whenever it is run: `--kind arrays --seed 0 --case 17` repeats one. With `--cut` a fixed number
of cases of each kind runs, as in the tests.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from tests.fuzz._cases import Outcome, Worker, case_folder, kinds, load_kind

DEFAULT_CUT = 100
"""Cases of a kind in the tests, unless its module says another number."""


def main() -> int:
    """Run the cases that the command line requests; return the exit status."""
    options = parse_arguments()
    names = [options.kind] if options.kind else kinds()
    for name in names:
        load_kind(name)  # once, before the processes of the kinds are forked
    outcomes = {name: run_kind(name, options, options.seconds / len(names)) for name in names}
    print(f"seed {options.seed}\nkind          cases  accepted  refused  faults")
    for name, ends in outcomes.items():
        counts = (ends.total(), ends["accepted"], ends["refused"], ends["fault"])
        print("{:<12} {:>6} {:>9} {:>8} {:>7}".format(name, *counts))
    one_sided = options.case is None and any(
        not (ends["accepted"] and ends["refused"]) for ends in outcomes.values()
    )
    if one_sided:
        print("A kind has one outcome only, so it tests nothing.")
    return int(one_sided or any(ends["fault"] for ends in outcomes.values()))


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=kinds(), help="run this kind alone")
    parser.add_argument("--case", type=int, help="run this case of the kind alone")
    parser.add_argument("--cut", action="store_true", help="run the cases of the tests")
    parser.add_argument("--out", type=Path, default="results/fuzz", help="faulty cases stay here")
    options = parser.parse_args()
    if options.case is not None and not options.kind:
        parser.error("--case needs --kind")
    return options


def run_kind(kind: str, options: argparse.Namespace, seconds: float) -> Counter[str]:
    """Run the cases of a kind; print each fault, and return how many cases ended in which way."""
    ends: Counter[str] = Counter()
    worker = Worker(kind, options.seed, options.out.resolve())
    with tqdm(desc=kind, unit=" cases", disable=None, dynamic_ncols=True) as bar:
        for case in case_numbers(kind, options, seconds):
            outcome = worker.run(case)
            ends[outcome.end] += 1
            bar.update()
            bar.set_postfix(ends, refresh=False)
            if outcome.end == "fault" or options.case is not None:
                bar.write(describe(kind, options, outcome))
    worker.stop()
    return ends


def case_numbers(kind: str, options: argparse.Namespace, seconds: float) -> Iterator[int]:
    """Yield the numbers of the cases to run: one, those of the tests, or until the time is over."""
    if options.case is not None:
        yield options.case
    elif options.cut:
        yield from range(getattr(load_kind(kind), "CUT", DEFAULT_CUT))
    else:
        end, case = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            yield case
            case += 1


def describe(kind: str, options: argparse.Namespace, outcome: Outcome) -> str:
    """Return an outcome in words, and how to repeat its case."""
    text = f"{kind} {outcome.case}: {outcome.end}: {outcome.text.strip()}"
    if outcome.end != "fault":
        return text
    folder = case_folder(options.out, kind, options.seed, outcome.case)
    repeat = f"python -m tests.fuzz --kind {kind} --seed {options.seed} --case {outcome.case}"
    return f"{text}\n  kept in {folder}; repeat it: {repeat}"


if __name__ == "__main__":
    sys.exit(main())
