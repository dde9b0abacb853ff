"""The last lines of a run of the workflow that failed: why each failed job ended."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltdm.plumbing.errors import count_of, shorten

MARK = "ltdm: "
"""Begins the line in which a job says why it ended."""

MAX_LINES = 10

CAUSES = {
    r"sbatch failed\..*?message was '(.*?)'": "Slurm refused it ({0}); correct site.yaml or"
    " `--set-resources`",
    r"OUT_OF_MEMORY|oom.kill": "it needed more memory than it requested; request more, as with"
    " `--set-resources {rule}:mem_mb=64000`",
    r"TIMEOUT|DUE TO TIME LIMIT": "it reached its time limit; request more minutes, as with"
    " `--set-resources {rule}:runtime=600`",
    r"NODE_FAIL|BOOT_FAIL|DUE TO NODE FAILURE": "its node failed; run the same command again",
    r"CANCELLED|PREEMPTED|DEADLINE": "it was cancelled; run the same command again",
    r"Errno (?:28|122)\b|No space left|quota exceeded": "no space is left on the disk; free some"
    " and run the same command again",
    r"No module named (\S+)": "its machine cannot import {0}; the checkout and its .venv must be on"
    " a disk that all machines share",
    r"died with <Signals\.(\w+)": "it was killed by {0}, as the system does when memory runs out;"
    " run fewer jobs at once, or on Slurm request more: `--set-resources {rule}:mem_mb=64000`",
}
"""Why a job ended that left no sentence, by what Snakemake or Slurm says of its end."""


@dataclass(frozen=True)
class Failure:
    """A job that failed in its last attempt: its sentence, and the logs that say more."""

    rule: str
    wildcards: Mapping[str, str]
    attempts: int
    sentence: str
    logs: Sequence[str]

    def template(self) -> str:
        """Return the sentence with `{wildcard}` for each own name in a path, and N for numbers."""
        values = {value: name for name, value in self.wildcards.items()}
        own_name = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, values))})(?!\w)")

        def mask(path: re.Match[str]) -> str:
            return own_name.sub(lambda value: f"{{{values[value[0]]}}}", path[0])

        sentence = re.sub(r"\S*/\S*", mask, self.sentence) if values else self.sentence
        return re.sub(r"(?<![\w./-])\d+(?:[.,]\d+)*(?![\w/-])", "N", sentence)


def explain(
    rule: str, log: str, since: float = 0.0, cluster_log: str = "", message: str = ""
) -> tuple[str, list[str]]:
    """Return why a job ended, in one sentence, and the logs that say more.

    Args:
        rule: Its rule.
        log: The log in which it leaves its sentence; empty for several jobs with one `cluster_log`.
        since: The log does not count if it was last written at this time or before.
        cluster_log: Slurm's log of the job; empty if there is none.
        message: What Snakemake says of its end.
    """
    has_begun, cluster_text = last_written(log) > since, _read(cluster_log)
    for said in (_read(log) if has_begun else "", cluster_text):
        if own := re.findall(rf"^{MARK}(.*)$", said, re.MULTILINE):
            return own[-1].removesuffix(f" (log: {log})"), [log] if log else []
    logs = [file for file in (log if has_begun else "", cluster_log) if file]
    for pattern, cause in CAUSES.items():
        if match := re.search(pattern, f"{message}\n{cluster_text}", re.DOTALL):
            details = [" ".join(detail.split()) for detail in match.groups()]
            return cause.format(*details, rule=rule), logs
    end = "without a message" if has_begun else "before its log began"
    where = "Slurm's log" if cluster_log else "Snakemake's lines above"
    return f"it ended {end}; see {where}", logs


def last_written(log: str) -> float:
    """Return the time at which a log was last written; 0 if there is none."""
    try:
        return Path(log).stat().st_mtime if log else 0.0
    except OSError:
        return 0.0


def _read(log: str) -> str:
    """Return a log's text; empty if it cannot be read."""
    try:
        return Path(log).read_text(encoding="utf-8", errors="replace") if log else ""
    except OSError:
        return ""


def summarize(failures: Collection[Failure], logs: str) -> list[str]:
    """Return the lines that end a run: one for all jobs of a rule that say the same.

    Without failures there are none. Of more than `MAX_LINES` sentences, those of most jobs are
    shown, and `logs`, the folder of all logs.
    """
    if not failures:
        return []
    groups: dict[tuple[str, int, str], list[Failure]] = {}
    for failure in sorted(failures, key=lambda f: (f.rule, [*f.wildcards.values()])):
        key = (failure.rule, failure.attempts, failure.template())
        groups.setdefault(key, []).append(failure)
    ordered = sorted(groups.values(), key=len, reverse=True)
    lines = [_line(group) for group in ordered[:MAX_LINES]]
    if others := [failure for group in ordered[MAX_LINES:] for failure in group]:
        rules = shorten(sorted({failure.rule for failure in others}))
        lines.append(f"{len(others)} more failed, of rule {rules}: their logs are in {logs}")
    way_out = "fix the cause and run the same command, which keeps finished results"
    lines = [f"{count_of(len(failures), 'job')} failed; {way_out}", *lines]
    return [f"{MARK}{line}" for line in lines]


def _line(group: Sequence[Failure]) -> str:
    """Return the line of the failures of a rule that say the same."""
    first, is_one = group[0], len(group) == 1
    name = " ".join((first.rule, "/".join(first.wildcards.values()))).strip()
    who = name if is_one else f"{len(group)} jobs of rule {first.rule}"
    attempts = f" after {first.attempts} attempts" if first.attempts > 1 else ""
    is_same = len({failure.sentence for failure in group}) == 1
    sentence = first.sentence if is_same else first.template()
    where = f"; {'' if is_one else 'first '}log: {', '.join(first.logs)}" if first.logs else ""
    return f"{who} failed{attempts}: {sentence}{where}"
