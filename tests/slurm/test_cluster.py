"""The cluster of these tests runs jobs and assigns GPUs."""

import pytest

pytestmark = pytest.mark.slurm


def test_jobs_run_and_see_their_gpus(cluster, tmp_path):
    cluster.run("sbatch", f"--output={tmp_path}/host", "--wrap=hostname")
    wrap = "--wrap=echo GPU $CUDA_VISIBLE_DEVICES on $SLURMD_NODENAME; sleep 2"
    for number in range(4):
        cluster.run("sbatch", "-p", "gpu", "--gpus=1", f"--output={tmp_path}/{number}", wrap)
    cluster.wait("five jobs", lambda: not cluster.jobs())
    assert (tmp_path / "host").read_text().strip()
    outputs = [(tmp_path / str(number)).read_text().strip() for number in range(4)]
    assert sorted(outputs) == [f"GPU {gpu} on n{node}" for gpu in (0, 1) for node in (1, 2)]
    assert [job["JobState"] for job in cluster.finished()[-5:]] == ["COMPLETED"] * 5
