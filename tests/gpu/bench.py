"""`ltdm bench runs` on the shipped settings, for `ltdm plan --bench`."""

from ltdm.cli.main import main
from ltdm.plumbing.files import read_json
from tests.gpu.setting import FOLDER, Setting

RUNS = {
    "methods": ("ddpm", "cbdm", "oclt", "agc"),
    "others": ("ccua", "cm", "igd-shared", "igd-separate"),
    "edm2": ("edm2-e",),  # its compiled code is in the cache
}
EAGER = FOLDER / "eager.yaml"


def run(setting: Setting, group: str) -> None:
    """Measure a group of runs; "others" without the compiler, which would take too long."""
    family = "edm2" if group == "edm2" else "methods"
    configs = [*setting.configs(family), *([EAGER] if group == "others" else [])]
    runs = [argument for name in RUNS[group] for argument in ("--run", name)]
    file = setting.work / f"bench-{group}.json"
    with setting.rows.attempt(group):
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
            columns = (
                "train_ms",
                "train_images_per_s",
                "train_tflops",
                "sample_images_per_s",
                "sample_tflops",
                "gpu_peak_mb",
            )
            setting.rows.add(row["run"], **{key: row[key] for key in columns})
