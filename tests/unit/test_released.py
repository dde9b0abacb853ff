"""Checkpoints of other codes: read as what they are, or refused in one sentence."""

import hashlib
import math
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from ltdm import released
from ltdm.cli import main
from ltdm.config import Experiment
from ltdm.errors import LtdmError, OptionError
from ltdm.files import read_json, read_npz, write_npz
from ltdm.foreign import refuse_foreign
from ltdm.networks import unet
from ltdm.options import parse
from ltdm.plan import cost
from ltdm.registry import part
from ltdm.samplers._options import SampleOptions
from ltdm.stages import figures, sample
from ltdm.stages.released import HISTORY
from ltdm.stages.sample import Sampling
from ltdm.weights import read_weights
from tests.unit.test_config import edited

OPTIONS = unet.Options(ch=32, ch_mult=(1, 2), num_res_blocks=1)
NETWORK = {"name": "unet", "ch": 32, "ch_mult": [1, 2], "attn": [1], "num_res_blocks": 1,
           "groups": 32}  # fmt: skip


def network(seed, classes=10, told=0, options=OPTIONS, channels=1):
    """A network of ours whose output depends on every weight."""
    torch.manual_seed(seed)
    net = unet.UNet(options, channels, classes, told).eval()
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net


def their_names(net, levels=1000):
    """The state dict that the released codes write of this network: the time table among it."""
    ch = net.head.weight.shape[0]
    exponent = torch.arange(0, ch, step=2) / ch * math.log(10000)
    angle = torch.arange(levels).float()[:, None] * torch.exp(-exponent)[None, :]
    waves = torch.stack([torch.sin(angle), torch.cos(angle)], dim=-1).view(levels, ch)
    theirs = {"time_embedding.timembedding.0.weight": waves}
    for name, tensor in net.state_dict().items():
        layer = re.fullmatch(r"time_embedding\.mlp\.(\d)\.(weight|bias)", name)
        if layer:
            name = f"time_embedding.timembedding.{int(layer[1]) + 1}.{layer[2]}"
        theirs[name] = tensor
    return theirs


def rest_of_a_checkpoint(net):
    """What the released codes save beside the weights."""
    optim = torch.optim.Adam(net.parameters(), lr=2e-4)
    sched = torch.optim.lr_scheduler.LambdaLR(optim, lr_lambda=lambda step: min(step, 5) / 5)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optim.step()
    sched.step()
    state = {"sched": sched.state_dict(), "optim": optim.state_dict(), "step": 200000}
    return {**state, "fixed_x_T": torch.randn(4, 1, 8, 8)}


@pytest.fixture
def checkpoint(tmp_path):
    """Write a checkpoint of two networks, (raw, ema); give its path and the networks."""

    def write(name="ckpt.pt", prefix="", legacy=False, levels=1000, **options):
        raw, ema = network(1, **options), network(2, **options)
        both = {"net_model": raw, "ema_model": ema}
        content = {
            key: {prefix + n: t for n, t in their_names(net, levels).items()}
            for key, net in both.items()
        }
        content |= rest_of_a_checkpoint(raw)
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=not legacy)
        return tmp_path / name, raw, ema

    return write


def ltdm(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


def answers(net, classes, told=0):
    """What a network says of one image under each label and under none."""
    labels = torch.arange(-1, classes)
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(
        len(labels), -1, -1, -1
    )
    augment = torch.linspace(-1, 1, told).expand(len(labels), -1) if told else None
    with torch.no_grad():
        return net(x, torch.linspace(0, 999, len(labels)).long(), labels, augment)


@pytest.mark.parametrize("form", [
    {}, {"prefix": "module."}, {"legacy": True}, {"classes": 0}, {"told": 9},
    {"classes": 3, "told": 9, "prefix": "module.", "legacy": True},
])  # fmt: skip
def test_the_imported_network_says_the_same_to_the_bit(checkpoint, tmp_path, form):
    path, raw, ema = checkpoint(**form)
    classes, told = form.get("classes", 10), form.get("told", 0)
    printed = ltdm("import", path, tmp_path / "m.safetensors", "--side", 8)
    assert "200000 updates" in printed and "Left out: sched, optim, fixed_x_T." in printed
    for name, original in (("raw", raw), ("ema", ema)):
        tensors, about = read_weights(tmp_path / "m.safetensors", f"{name}.")
        options = part("network", about["network"], ()).options
        assert options == OPTIONS
        assert (about["told"], about["label"]) == (told, "input" if classes else "nothing")
        assert (about["channels"], about["size"], about["classes"]) == (1, 8, classes or 1)
        net = unet.build(options, 1, 8, classes, told).eval()
        net.load_state_dict(tensors)
        assert torch.equal(answers(net, classes, told), answers(original, classes, told))
    assert not torch.equal(answers(raw, classes, told), answers(ema, classes, told))


def test_images_are_those_of_the_original_network(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    path, raw, ema = checkpoint(levels=50)
    model = tmp_path / "m.safetensors"
    assert "process: {name: vp, T: 50}" in ltdm("import", path, model, "--side", 8)
    for weights, original in (("raw", raw), ("ema", ema)):
        sampler = {"name": "ddim", "steps": 4}
        spec = {"images": 20, "guidance": 0.5, "weights": weights, "sampler": sampler}
        samples = tmp_path / f"{weights}.npz"
        sample.run(spec, 3, model=model, samples=samples, record=tmp_path / "samples.json")
        about = {"network": NETWORK, "process": {"name": "vp", "T": 50}, "channels": 1, "size": 8,
                 "classes": 10, "told": 0, "points": False, "label": "input"}  # fmt: skip
        options = parse(SampleOptions, spec)
        own = Sampling(original.state_dict(), about, options, 3, torch.device("cpu"))
        images, labels = read_npz(samples, "images", "labels")
        assert np.array_equal(images, own.images(labels))
    ltdm("import", path, tmp_path / "other.safetensors", "--side", 8)
    assert (tmp_path / "other.safetensors").read_bytes() == model.read_bytes()


@pytest.mark.parametrize(("classes", "told", "entries"), [(0, 0, 329), (10, 0, 330), (10, 9, 331)])
def test_paper_size(classes, told, entries):
    """As many names as the released network has; each is one of ours, and none is left."""
    with torch.device("meta"):
        theirs = their_names(unet.UNet(unet.Options(), 3, classes, told))
    assert len(theirs) == entries
    shape = released._shape("a file", {name: tuple(t.shape) for name, t in theirs.items()})
    assert shape == (unet.Options(), 3, classes, told, 1000)


def test_other_shapes_are_told_from_the_weights(tmp_path):
    for options in (
        unet.Options(ch=64, ch_mult=(1,), attn=(), num_res_blocks=1),
        unet.Options(ch=32, ch_mult=(1, 1, 3), attn=(0, 2), num_res_blocks=3),
    ):
        net = network(0, classes=4, options=options, channels=3)
        torch.save({"ema_model": their_names(net, levels=10)}, tmp_path / "c.pt")
        held = released.read(tmp_path / "c.pt")
        assert held.shape == (options, 3, 4, 0, 10)
        assert (held.updates, held.left_out) == (0, [])


def test_one_set_of_weights_is_never_taken_for_the_other(tmp_path):
    theirs = their_names(network(0))
    for content, wanted in (
        ({"ema_model": theirs}, ["ema"]), ({"net_model": theirs, "step": 3}, ["raw"]),
        (theirs, ["raw"]), ({"global_model": theirs, "global_ema_model": theirs}, ["raw", "ema"]),
    ):  # fmt: skip
        torch.save(content, tmp_path / "c.pt")
        assert list(released.read(tmp_path / "c.pt").weights) == wanted
    assert "sample: {weights: raw}" in ltdm_of_bare(tmp_path, theirs)


def ltdm_of_bare(folder, theirs):
    torch.save(theirs, folder / "bare.pt")
    return ltdm("import", folder / "bare.pt", folder / "bare.safetensors", "--side", 8)


class Code:
    """Runs code when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def without(name):
    return lambda theirs: {k: v for k, v in theirs.items() if k != name}


def with_(**tensors):
    return lambda theirs: {**theirs, **{k.replace("__", "."): v for k, v in tensors.items()}}


def other_table(theirs):
    table = theirs["time_embedding.timembedding.0.weight"]
    apart = torch.cat([table[:, 0::2], table[:, 1::2]], dim=1)  # all sines, then all cosines
    return {**theirs, "time_embedding.timembedding.0.weight": apart}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("upblocks.1.shortcut.bias"), "upblocks.1.shortcut.bias is missing"),
        (without("head.weight"), "is a network that is not known, of time_embedding"),
        (without("time_embedding.timembedding.0.weight"), "is a network that is not known"),
        (with_(tail__2__bias=torch.zeros(7)), r"tail.2.bias is \(7,\), not \(1,\)"),
        (with_(extra=torch.zeros(7), more=torch.zeros(1)), "extra is not known, more is not known"),
        (with_(downblocks__0__cemb_proj__1__bias=torch.zeros(7)), "IET-AGC's variant of the U-Net"),
        (lambda theirs: {"input_blocks.0.0.weight": torch.zeros(3)}, "U-Net of guided-diffusion"),
        (lambda theirs: {"w": torch.zeros(3)}, "is a network that is not known, of w; ltdm reads"),
        (other_table, "has another time embedding than the sines and cosines"),
    ],
)  # fmt: skip
def test_another_network_is_refused(tmp_path, change, message):
    torch.save({"ema_model": change(their_names(network(0)))}, tmp_path / "c.pt")
    with pytest.raises(LtdmError, match=f"c.pt: ema_model .*{message}"):
        released.read(tmp_path / "c.pt")


def test_no_checkpoint_at_all_is_refused(tmp_path, checkpoint):
    def refused(path, message):
        printed = ltdm("import", path, tmp_path / "m.safetensors", "--side", 8, code=1)
        assert printed.startswith("ltdm: ") and printed.count("\n") == 1
        assert str(path) in printed and message in printed

    path, *_ = checkpoint()
    theirs, file = their_names(network(0)), tmp_path / "c.pt"
    other = their_names(network(0, classes=3))
    refused(tmp_path / "none.pt", "is missing; mend the path")
    refused(tmp_path, "cannot read")
    for legacy in (False, True):
        bad = {"net_model": theirs, "code": Code(tmp_path / "made")}
        torch.save(bad, file, _use_new_zipfile_serialization=not legacy)
        refused(file, "asks for posix.mkdir, and ltdm unpickles nothing but tensors")
        refused(file, "write its weights alone")
    assert not (tmp_path / "made").exists()
    whole = path.read_bytes()
    for end in (0, 100, len(whole) // 2, len(whole) - 10):
        file.write_bytes(whole[:end])
        refused(file, "is damaged, cut short, or no file of torch.save; fetch it again")
    file.write_text("hello")
    refused(file, "no file of torch.save")
    for content, message in (
        ([1, 2], "holds no dictionary of weights, but a list"),
        ({"model": theirs, "epoch": 3}, "no net_model or ema_model, but model, epoch; write"),
        ({}, "has no net_model or ema_model, but nothing"),
        ({"net_model": theirs, "ema_model": other}, "different networks"),
        ({"ema_model": {**theirs, "head.bias": torch.full((32,), math.nan)}}, "finite (ema.head"),
    ):  # fmt: skip
        torch.save(content, file)
        refused(file, message)
    printed = ltdm("import", path, tmp_path / "m.safetensors", "--side", 7, code=1)
    assert "--side must be a multiple of 2, not 7" in printed


def config(path, **run):
    """The smoke config with one run that takes its network from a checkpoint."""
    train = {"checkpoint": str(path), **run.pop("train", {})}
    network = run.pop("network", NETWORK)
    made = edited("runs", {"theirs": {"network": network, "train": train, **run}})
    made["grid"]["run"] = ["theirs"]
    return made


@pytest.mark.parametrize(
    ("form", "run", "where", "message"),
    [
        ({}, {"network": {**NETWORK, "ch": 64, "attn": [0]}}, "train.checkpoint",
         "network.ch is 32 there, 64 here, network.attn is [1] there, [0] here; `ltdm import`"),
        ({}, {"network": {**NETWORK, "groups": 16}}, "train.checkpoint", "groups is 32 there, 16"),
        ({}, {"process": {"name": "vp", "T": 10}}, "train.checkpoint", "T is 1000 there, 10 here"),
        ({"classes": 3}, {}, "train.checkpoint", "is 3 there, 10 here"),
        ({"channels": 3}, {}, "train.checkpoint", "the number of channels is 3 there, 1 here"),
        ({"classes": 0}, {}, "train.checkpoint", "(none if train.label_dropout is 1) is 0 there"),
        ({}, {"train": {"label_dropout": 1}, "sample": {"guidance": 0}}, "train.checkpoint",
         "is 10 there, 0 here"),
        ({"told": 9}, {}, "train.checkpoint", "if train.augment is karras) is 9 there, 0 here"),
        ({}, {"method": "igd", "train": {"label_dropout": 0}}, "train.checkpoint", "one a network"),
        ({}, {"train": {"init_from": "theirs"}}, "train.init_from", "goes with no checkpoint"),
        ({}, {"network": {**NETWORK, "ch_mult": [1, 2, 2, 2, 2]}}, "network.ch_mult",
         "the image side must be a multiple of 16, and it is 8"),
    ],
)  # fmt: skip
def test_a_run_that_does_not_fit_its_checkpoint(checkpoint, form, run, where, message):
    path, *_ = checkpoint(**form)
    with pytest.raises(OptionError) as caught:
        Experiment(config(path, **run))
    assert str(caught.value).startswith(f"runs.theirs.{where}: ")
    assert message in str(caught.value)


def test_a_checkpoint_with_one_set_of_weights(tmp_path):
    path = tmp_path / "raw.pt"
    torch.save({"net_model": their_names(network(0))}, path)
    with pytest.raises(OptionError, match=r"weights: is ema, .* alone; set it to raw"):
        Experiment(config(path))
    made = config(path, sample={"weights": "raw"})
    Experiment(made)
    made["runs"]["fine"] = {"network": NETWORK, "train": {"init_from": "theirs"}}
    made["grid"]["run"] = ["fine"]
    with pytest.raises(OptionError, match=r"fine.train.init_from: needs averaged weights"):
        Experiment(made)


def test_a_damaged_index_of_an_archive(checkpoint):
    path, *_ = checkpoint()
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = 250  # the version of zip that reads an entry
    path.write_bytes(content)
    with pytest.raises(OptionError, match=r"train.checkpoint: .*ckpt.pt is damaged"):
        Experiment(config(path))


def test_what_decides_an_imported_network(checkpoint, tmp_path):
    """What its file holds and is used as; no path, no time, no option of training."""
    path, *_ = checkpoint()

    def who(path, **run):
        made = Experiment(config(path, **run)).runs["digits-lt", "theirs"]
        return made.spec(), made.train_code()

    first = who(path)
    moved = path.rename(tmp_path / "moved.pt")
    os.utime(moved)
    assert who(moved) == first
    assert who(moved, train={"updates": 7, "batch": 9000}, method="cbdm") == first
    assert who(moved, network={**NETWORK, "dropout": 0.3}) != first
    checkpoint("moved.pt", legacy=True)
    assert who(moved) != first
    trained = Experiment(edited("runs", {"ddpm": {}, "cbdm": {}})).runs["digits-lt", "ddpm"]
    assert trained.train_code() != first[1] and "content" not in trained.spec()


def test_a_run_of_a_released_network_from_end_to_end(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTDM_DEVICE", "cpu")
    path, _, ema = checkpoint()
    made = config("ckpt.pt")
    made["runs"]["fine"] = {"network": NETWORK, "train": {"init_from": "theirs", "updates": 2}}
    made["defaults"]["train"] |= {"lr": 1.0e-9, "warmup": 100, "ema": 0.0}
    made["grid"]["run"] = ["theirs", "fine"]

    def write():
        Path("c.yaml").write_text(yaml.safe_dump(made))

    write()
    ltdm("prepare", "c.yaml")
    printed = ltdm("train", "c.yaml")
    assert "theirs/seed-0: taken from ckpt.pt" in printed and "fine/seed-0: trained" in printed
    ltdm("sample", "c.yaml")
    folder = Path("results/smoke/runs/digits-lt/theirs/seed-0")
    record = read_json(folder / "run.json")
    assert record["checkpoint"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record["updates"], record["weights"]) == (200000, ["ema", "raw"])
    assert set(record["evaluations_per_image"].values()) == {0}
    assert record["parameters"] == sum(p.numel() for p in ema.parameters())
    tensors, about = read_weights(folder / "model.safetensors", "ema.")
    assert all(torch.equal(t, tensors[name]) for name, t in ema.state_dict().items())
    assert about["key"] == record["key"] == read_json(folder / "main/samples.json")["model"]
    fine, _ = read_weights(folder.parents[1] / "fine/seed-0/model.safetensors", "ema.")
    assert all((t - fine[name]).abs().max() < 1e-6 for name, t in tensors.items())
    assert read_json(folder.parents[1] / "fine/seed-0/run.json")["init"] == record["key"]
    assert pd.read_csv(folder / "history.csv").empty
    refuse_foreign(Experiment(made), lambda file: None)

    path.unlink()
    assert ltdm("train", "c.yaml").count("already trained") == 2
    ltdm("sample", "c.yaml")
    made["grid"]["seed"] = [0, 1]
    write()
    assert "train.checkpoint: ckpt.pt is missing; mend the path" in ltdm("train", "c.yaml", code=1)
    made["grid"]["seed"] = [0]
    write()
    checkpoint(classes=10, legacy=True)
    assert "theirs/seed-0: taken from" in ltdm("train", "c.yaml"), "another file is another network"


def test_a_run_of_a_released_network_costs_no_training(checkpoint):
    path, *_ = checkpoint()
    experiment = Experiment(config(path))
    data, run = experiment.datasets["digits-lt"], experiment.runs["digits-lt", "theirs"]
    planned = cost(data, run, [])
    assert planned.train_images == planned.train_operations == 0
    assert planned.sample_images == 60
    file = path.with_name("c.yaml")
    file.write_text(yaml.safe_dump(config(path)))
    assert "no run of these is trained" in ltdm("bench", file, code=1)


def test_figures_of_training_leave_out_what_was_not_trained(tmp_path):
    counts = {"class": [0, 1], "name": ["a", "b"], "available": [9, 9], "train": [9, 3]}
    columns = ["dataset", "features", "metric", "sample_set", "group", "run", "value"]
    tables = {
        "counts": pd.DataFrame(counts), "tidy": pd.DataFrame(columns=columns, dtype=str),
        "trained": pd.DataFrame({"update": [1, 2], "denoise": [1.0, 0.5]}),
        "theirs": pd.DataFrame(columns=HISTORY),
    }  # fmt: skip
    files = {name: tmp_path / f"{name}.csv" for name in tables}
    for name, table in tables.items():
        table.to_csv(files[name], index=False)
    images = tmp_path / "images.npz"
    write_npz(images, images=np.zeros((2, 1, 8, 8), np.uint8), labels=np.arange(2))

    def drawn(*runs):
        picture = tmp_path / "training.svg"
        figures.run("d", "frechet", "pixels", "main", counts=files["counts"], tidy=files["tidy"],
                    reference=images, samples={"a": images}, pictures={"training": picture},
                    histories={(run, 0): files[run] for run in runs})  # fmt: skip
        return picture.read_bytes()

    assert drawn("trained", "theirs") == drawn("trained")
    assert drawn("theirs") != drawn("trained")
