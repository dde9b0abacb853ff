"""Sample sets in shards: `--set-scatter samples=5`."""

SET = "runs/digits-lt/ddpm/seed-0/main"
SHARED = ("--set-scatter", "samples=5")
FILES = (
    "samples.npz",
    "samples.json",
    "features/classifier.npz",
    "features/pixels.npz",
    "metrics/frechet.csv",
)


def test_five_shards_give_the_bytes_of_one_job(checkout):
    """Existing shards are used, those of another number are deleted, and nothing is due after."""
    folder = checkout.results / SET
    paths = [str((folder / name).relative_to(checkout.folder)) for name in FILES]
    before = [(folder / name).read_bytes() for name in FILES]
    for name in FILES:
        (folder / name).unlink()
    shards = [f"results/smoke/{SET}/samples.shards/{n}.npz" for n in ("1-of-5", "5-of-5", "2-of-4")]
    checkout.snakemake("--cores", "2", *shards)
    due = {"sample_shard": 3, "sample": 1, "features": 2, "metrics": 1}
    assert checkout.planned(*paths, *SHARED) == due

    checkout.snakemake("--cores", "2", *paths, *SHARED)
    assert [(folder / name).read_bytes() for name in FILES] == before
    assert not [*folder.rglob("*.shards")]
    logs = checkout.results / "logs/sample_shard/digits-lt/ddpm/seed-0/main"
    assert len([*logs.glob("*-of-5.log")]) == 5
    for shared in (SHARED, (), ("--set-scatter", "samples=4")):
        assert checkout.planned(*paths, *shared) == {}

    checkout.edit("config/smoke.yaml", "guidance: 0.5", "guidance: 0.7")
    assert checkout.planned(paths[0], *SHARED) == {"sample_shard": 5, "sample": 1}
    checkout.snakemake("--cores", "2", paths[0])
    assert checkout.planned(paths[0], *SHARED) == {}, (
        "though five shards of another config had made it"
    )


def test_deleted_images_are_sampled_in_shards_again(checkout):
    path = checkout.results / SET / "samples.npz"
    before, target = path.read_bytes(), str(path.relative_to(checkout.folder))
    path.unlink()
    assert checkout.planned(target, *SHARED) == {"sample": 1, "sample_shard": 5}
    checkout.snakemake("--cores", "1", target, *SHARED)
    assert path.read_bytes() == before


def test_a_dry_run_writes_and_deletes_nothing(checkout):
    def listing():
        # Logs, locks, plans and the cache of file times may change.
        names = ("log", "locks", "ltdm", "iocache")
        ignored = [checkout.folder / ".snakemake" / name for name in names]
        files = [f for f in checkout.folder.rglob("*") if f.is_file()]
        stats = {
            f: f.stat() for f in files if not any(f.is_relative_to(folder) for folder in ignored)
        }
        return {f: (stat.st_size, stat.st_mtime_ns) for f, stat in stats.items()}

    path = str((checkout.results / SET / "samples.json").relative_to(checkout.folder))
    checkout.snakemake(
        "--cores", "2", "--force", path, *SHARED
    )  # so that Snakemake has notes on shards
    for old, new in (("guidance: 0.5", "guidance: 0.7"), ("guidance: 0.7", "guidance: 0.5")):
        before = listing()
        checkout.planned(*SHARED)
        assert listing() == before
        checkout.edit("config/smoke.yaml", old, new)


def test_misspelt_scatter_name(checkout):
    printed = checkout.snakemake("--dry-run", "--set-scatter", "sample=5", ok=False)
    assert "--set-scatter: there is no 'sample'; did you mean 'samples'?" in printed
