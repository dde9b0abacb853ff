"""What rules take of the config: inputs, params, threads. All of it is a function of wildcards."""


def run_of(wildcards):
    return experiment.runs[wildcards.dataset, wildcards.run]


def data_slice(wildcards):
    # Here, since every job goes back to data, and Snakemake's notes are open by now.
    refuse_others()
    return experiment.datasets[wildcards.dataset].spec()


def data_places(wildcards, output):
    """Return where the source lies; by asking for `output` it is no reason to run again."""
    return places(experiment.datasets[wildcards.dataset].source.options)


def prepare_code(wildcards):
    return experiment.datasets[wildcards.dataset].code()


def train_slice(wildcards):
    return run_of(wildcards).spec()


def train_init(wildcards):
    """Return the network that a run starts from, if it starts from one."""
    found = experiment.init(wildcards.dataset, wildcards.run, wildcards.seed)
    return str(found) if found else []


def train_checkpoint(wildcards, output):
    """Return where a released checkpoint lies; that is no reason to run again either."""
    return run_of(wildcards).train.checkpoint


def train_gpus(wildcards, output):
    """Return how many processes train together; that is no reason to run again either."""
    return run_of(wildcards).train.gpus


def train_code(wildcards):
    return run_of(wildcards).train_code()


def sample_slice(wildcards):
    return changed(run_of(wildcards).samples[wildcards.sample_set])


def sample_code(wildcards):
    return run_of(wildcards).sample_code(wildcards.sample_set)


def posthoc_width(wildcards):
    return float(wildcards.sigma_rel)


def sample_model(wildcards):
    """Return the network that a sample set is made from, with the average that it asks for."""
    wanted = [wildcards[axis] for axis in ("dataset", "run", "seed", "sample_set")]
    return str(experiment.model(*wanted))


def sample_guide(wildcards):
    """Return the network that guides a sample set, if another one does."""
    wanted = [wildcards[axis] for axis in ("dataset", "run", "seed", "sample_set")]
    found = experiment.guide(*wanted)
    return str(found) if found else []


@cache
def claimed():
    return {claim.record: claim for claim in claims(experiment)}


def sample_shards(wildcards):
    """Return the parts of a sample set, where several jobs share it; none of a finished one.

    Parts are gone once they are put together, and Snakemake would make them again where what made
    them has changed, though one job has made the whole since. A job's own process takes the parts
    that it was given, since what was finished when Snakemake began may not be any more.
    """
    pattern = "<samples>/samples.shards/{scatteritem}.npz"
    parts = gather.samples(pattern, allow_missing=True)
    wanted = [wildcards[axis] for axis in ("dataset", "run", "seed", "sample_set")]
    folder = experiment.layout.samples(*wanted)
    if len(parts) == 1:
        return []
    if workflow.is_main_process:
        return [] if finished(folder / "samples.json", claimed()) else parts
    there = [(folder / "samples.shards" / Path(part).name).exists() for part in parts]
    return parts if all(there) else []


def shard_number(wildcards):
    """Return a shard's number, from 0, and how many there are."""
    number, of = wildcards.scatteritem.split("-of-")
    return int(number) - 1, int(of)


def extractor_part(wildcards):
    return next(
        p for p in experiment.evaluate.features if p.label == wildcards.extractor
    )


def extractor_slice(wildcards):
    return extractor_part(wildcards).plain()


def extractor_places(wildcards, output):
    """Return where its files lie; by asking for `output` it is no reason to run again."""
    return places(extractor_part(wildcards).options)


def extractor_code(wildcards):
    return stage_code("extractor", extractor_part(wildcards))


def features_code(wildcards):
    return stage_code("features", extractor_part(wildcards))


def search_slice(wildcards):
    """Return what decides which training images are found; the other options rerun no search."""
    metric = metrics[wildcards.metric]
    return metric.module.search(metric.options)


def metric_slice(wildcards):
    return metrics[wildcards.metric].plain()


def metric_code(wildcards):
    return stage_code("metrics", metrics[wildcards.metric])


def threads_for(wildcards, parts=()):
    """Return one thread, but several where features are so long that the work is in them.

    Without parts the images themselves are compared, pixel by pixel.
    """
    census = experiment.datasets[wildcards.dataset].census
    lengths = [p.module.length(p.options, census.channels, census.side) for p in parts]
    return 8 if max(lengths or [census.channels * census.side**2]) > 500 else 1


def search_threads(wildcards):
    return threads_for(wildcards)


def feature_threads(wildcards):
    return threads_for(wildcards, [extractor_part(wildcards)])


def metric_threads(wildcards):
    fed = experiment.evaluate.feeding(metrics[wildcards.metric])
    return threads_for(wildcards, fed) if fed else 1


def fed_by(wildcards):
    """Return the feature spaces that a metric is given in, in the config's order."""
    return list(experiment.evaluate.files(metrics[wildcards.metric]))


def feeding(folder):
    """Return an input function: what a metric reads of a data set or a sample set."""

    def paths(wildcards):
        files = experiment.evaluate.files(metrics[wildcards.metric])
        return [f"{folder}/{file}" for file in files.values()]

    return paths


def test_slice(wildcards):
    return experiment.datasets[wildcards.dataset].test_spec()


def test_code(wildcards):
    return experiment.datasets[wildcards.dataset].test_code()


def probe_images(wildcards):
    """Return the labelled images that the probe's classifiers are trained on."""
    return f"<data>/{experiment.evaluate.probe.file}"


def probe_slice(wildcards):
    return changed(experiment.evaluate.probe)


def probe_code(wildcards):
    return run_of(wildcards).probe_code()


def sweep_slice(wildcards):
    return experiment.sweeps[wildcards.sweep].spec()


def sweep_code(wildcards):
    return stage_code("theory", *experiment.sweeps[wildcards.sweep].samplers)


def history_files(wildcards):
    """Return a data set's training histories, seeds within runs."""
    return expand(
        rules.train.output.history,
        dataset=wildcards.dataset,
        run=grid["run"],
        seed=grid["seed"],
    )


def shown_samples(wildcards):
    """Return one sample set a run: the first seed's first."""
    return expand(
        rules.sample.output.samples,
        dataset=wildcards.dataset,
        run=grid["run"],
        seed=grid["seed"][0],
        sample_set=grid["sample_set"][0],
    )


def lineage_slice(wildcards, input):
    """Return what is made from what; by asking for `input` it is no reason to run again."""
    return behind
