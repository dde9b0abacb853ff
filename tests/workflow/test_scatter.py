"""Sample sets that several jobs share: `--set-scatter samples=5`."""

SET = "runs/digits-lt/ddpm/seed-0/main"
SHARED = ("--set-scatter", "samples=5")
MADE = (
    "samples.npz",
    "samples.json",
    "features/classifier.npz",
    "features/pixels.npz",
    "metrics/frechet.csv",
)


def test_five_jobs_make_what_one_makes(checkout):
    """Parts that are there are kept, of another number are cleared away; then nothing is missed."""
    folder = checkout.results / SET
    paths = [str((folder / name).relative_to(checkout.folder)) for name in MADE]
    alone = [(folder / name).read_bytes() for name in MADE]
    for name in MADE:
        (folder / name).unlink()
    parts = [f"results/smoke/{SET}/samples.shards/{n}.npz" for n in ("1-of-5", "5-of-5", "2-of-4")]
    checkout.snakemake("--cores", "2", *parts)
    due = {"sample_shard": 3, "sample": 1, "features": 2, "metrics": 1}
    assert checkout.planned(*paths, *SHARED) == due

    checkout.snakemake("--cores", "2", *paths, *SHARED)
    assert [(folder / name).read_bytes() for name in MADE] == alone
    assert not [*folder.rglob("*.shards")]
    shards = checkout.results / "logs/sample_shard/digits-lt/ddpm/seed-0/main"
    assert len([*shards.glob("*-of-5.log")]) == 5
    for shared in (SHARED, (), ("--set-scatter", "samples=4")):
        assert checkout.planned(*paths, *shared) == {}

    checkout.edit("config/smoke.yaml", "guidance: 0.5", "guidance: 0.7")
    assert checkout.planned(paths[0], *SHARED) == {"sample_shard": 5, "sample": 1}
    checkout.snakemake("--cores", "2", paths[0])
    assert checkout.planned(paths[0], *SHARED) == {}, "though five had made it from another config"


def test_deleted_images_are_shared_again(checkout):
    path = checkout.results / SET / "samples.npz"
    alone, asked = path.read_bytes(), str(path.relative_to(checkout.folder))
    path.unlink()
    assert checkout.planned(asked, *SHARED) == {"sample": 1, "sample_shard": 5}
    checkout.snakemake("--cores", "1", asked, *SHARED)
    assert path.read_bytes() == alone


def test_a_dry_run_writes_and_deletes_nothing(checkout):
    def listing():
        # Snakemake's own: what it said, its locks, and when it last saw which file.
        own = [checkout.folder / ".snakemake" / name for name in ("log", "locks", "iocache")]
        files = [f for f in checkout.folder.rglob("*") if f.is_file()]
        told = {f: f.stat() for f in files if not any(f.is_relative_to(one) for one in own)}
        return {f: (one.st_size, one.st_mtime_ns) for f, one in told.items()}

    path = str((checkout.results / SET / "samples.json").relative_to(checkout.folder))
    checkout.snakemake("--cores", "2", "--force", path, *SHARED)  # so that there are notes of parts
    for old, new in (("guidance: 0.5", "guidance: 0.7"), ("guidance: 0.7", "guidance: 0.5")):
        before = listing()
        checkout.planned(*SHARED)
        assert listing() == before
        checkout.edit("config/smoke.yaml", old, new)


def test_a_number_of_jobs_for_nothing(checkout):
    printed = checkout.snakemake("--dry-run", "--set-scatter", "sample=5", ok=False)
    assert "--set-scatter: there is no 'sample'; did you mean 'samples'?" in printed
