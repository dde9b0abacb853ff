"""`ltdm bench runs` on the shipped settings; `ltdm plan --bench` reads what comes of it."""

from ltdm.cli.main import main
from ltdm.plumbing.files import read_json
from tests.gpu.setting import HERE, Setting

RUNS = {
    "methods": ("ddpm", "cbdm", "oclt", "agc"),
    "others": ("ccua", "igd-shared", "igd-separate"),
    "edm2": ("edm2-e",),  # the one whose compiled code is there
}
EAGER = HERE / "eager.yaml"


def run(setting: Setting, which: str) -> None:
    """Measure some runs, as compiled as their config has it, or not where that would take long."""
    family = "edm2" if which == "edm2" else "methods"
    configs = [*setting.configs(family), *([EAGER] if which == "others" else [])]
    runs = [word for name in RUNS[which] for word in ("--run", name)]
    file = setting.work / f"bench-{which}.json"
    with setting.rows.attempt(which):
        main.main(
            [
                "bench",
                "runs",
                *map(str, configs),
                *runs,
                "--rounds",
                "1",
                "--json",
                str(file),
                "--steps",
                "1" if setting.tiny else "10",
            ],
            standalone_mode=False,
        )
        for row in read_json(file)["rows"]:
            told = (
                "train_ms",
                "train_images_per_s",
                "train_tflops",
                "sample_images_per_s",
                "sample_tflops",
                "gpu_peak_mb",
            )
            setting.rows.say(row["run"], **{key: row[key] for key in told})
