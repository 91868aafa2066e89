"""Strips as training data: lazy, bounded, mixed at a ratio, not stopped by a record that cannot be read."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ecgsynth.augment import (
    AugmentOptions,
    GaussianNoise,
    MixedSampler,
    MixedStream,
    StripData,
    StripDataset,
    StripOptions,
    TransformedBatches,
    augment_dataset,
    default_chain,
)
from ecgsynth.augment.chain import Chain
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.wfdb_io import write_record
from ecgsynth.wish import Wish

FS = 100.0


def write(
    folder: Path,
    name: str,
    rhythm: str | None,
    *,
    seconds: float = 4.0,
    fs: float = FS,
    leads: tuple[str, ...] = ("I",),
    person: str | None = None,
) -> None:
    """A recording whose samples are a ramp of its own, so that every strip can be told."""
    folder.mkdir(parents=True, exist_ok=True)
    n = round(seconds * fs)
    start = sum(name.encode()) % 97
    signal = (start + np.arange(n) % 1000) / 1000 * np.ones((len(leads), 1))
    comments = [f"Subject: {person or name}"]
    comments += [f"Dx: {RHYTHMS[rhythm].snomed}"] if rhythm else []
    write_record(folder, name, signal.astype(np.float32), fs, leads, comments)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Eight records in sinus rhythm, four with AF, in no parts."""
    for i in range(8):
        write(tmp_path / "plain", f"n{i}", "nsr")
    for i in range(4):
        write(tmp_path / "plain", f"a{i}", "afib")
    return tmp_path / "plain"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``ecgsynth augment`` writes: AF with as many synthetic strips as real ones."""
    root = tmp_path_factory.mktemp("mixed")
    for i in range(12):
        write(root / "clinic", f"n{i}", "nsr", seconds=8.0)
    for i in range(6):
        write(root / "clinic", f"a{i}", "afib", seconds=8.0)
    strips = StripOptions(real=(root / "clinic",), seconds=4.0)
    augment_dataset(
        AugmentOptions(strips=strips, out=root / "set", rhythms=("afib",), generator="parametric", workers=1)
    )
    return root / "set"


def batches(loader: Any) -> list[dict[str, torch.Tensor]]:
    return [{key: value.clone() for key, value in batch.items()} for batch in loader]


# ------------------------------------------------------------------ the data set


def test_a_strip_is_the_recording_with_its_label_and_person(plain: Path) -> None:
    data = StripDataset(plain, seconds=4.0)
    assert len(data) == 12 and data.rhythms == ("afib", "nsr") and data.leads == ("I",) and data.fs == FS
    names = [data.entries[place.entry].name for place in data.places]
    item = data[names.index("n3")]
    start = sum(b"n3") % 97
    assert torch.allclose(item["signal"][0, :5], (start + torch.arange(5)) / 1000)
    assert data.rhythms[int(item["label"])] == "nsr"
    assert data.people[int(item["person"])] == "plain/n3"
    assert not item["synthetic"]


def test_long_recordings_give_strips_that_do_not_overlap(tmp_path: Path) -> None:
    write(tmp_path, "long", "nsr", seconds=30.0)
    data = StripDataset(tmp_path, seconds=4.0)
    found = [float(data[i]["signal"][0, 0]) for i in range(len(data))]
    start = sum(b"long") % 97
    # seven whole strips in thirty seconds, what is over is left out on both ends alike
    assert found == pytest.approx([(start + (100 + 400 * i) % 1000) / 1000 for i in range(7)], abs=1e-3)


def test_strips_are_resampled_and_leads_ordered_as_asked(tmp_path: Path) -> None:
    write(tmp_path / "a", "x", "nsr", fs=250.0, leads=("II", "I"), seconds=20.0)
    write(tmp_path / "b", "y", "nsr", fs=500.0, leads=("I",), seconds=20.0)
    data = StripDataset([tmp_path / "a", tmp_path / "b"], fs=100.0, leads=("I",), seconds=3.0)
    assert {tuple(data[i]["signal"].shape) for i in range(len(data))} == {(1, 300)}
    # a ramp stays a ramp, 2.5 times as steep at 1/2.5 of the rate: no ringing at the ends of a strip
    inside = data[0]["signal"][0]
    assert inside.diff().median() == pytest.approx(2.5e-3, rel=0.03)
    assert inside[:40].diff().sub(2.5e-3).abs().max() < 1e-3


def test_nothing_is_read_before_it_is_asked_for_and_changes_are_noticed(plain: Path) -> None:
    for path in plain.glob("*.dat"):
        path.rename(path.with_suffix(".later"))
    with pytest.raises(RecordError, match="does not exist"):
        StripDataset(plain, seconds=4.0)  # headers name their samples, which must be there
    for path in plain.glob("*.later"):
        path.rename(path.with_suffix(".dat"))
    data = StripDataset(plain, seconds=4.0)
    (plain / "n0.dat").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"skipped: .*n0"):
        batches(DataLoader(data, batch_size=4, collate_fn=TransformedBatches(None)))


def test_long_recordings_are_kept_within_the_memory_allowed(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path, f"r{i}", "nsr", seconds=40.0)
    one = 40 * 100 * 4
    data = StripDataset(tmp_path, seconds=4.0, cache_bytes=2 * one + 100)
    for i in np.random.default_rng(0).permutation(len(data)).tolist():
        data[i]
        assert data._held() <= 2 * one
    assert len(data._cache) == 2


def test_strips_without_labels_are_taken_where_labels_do_not_matter(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path, f"r{i}", None, seconds=9.0)
    with pytest.raises(RecordError, match=r"no strip of 4 s with a rhythm among 3 records. Give labels"):
        StripDataset(tmp_path, seconds=4.0)
    data = StripDataset(tmp_path, seconds=4.0, labelled=False)
    assert len(data) == 6 and set(data.label.tolist()) == {-1}


def test_labels_and_people_can_come_from_a_file(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / "data", f"r{i}", None)
    table = "record,rhythm,subject\n" + "".join(f"r{i},AF,p{i // 2}\n" for i in range(4))
    (tmp_path / "labels.csv").write_text(table)
    data = StripDataset(tmp_path / "data", seconds=4.0, labels=tmp_path / "labels.csv")
    assert data.rhythms == ("afib",) and data.people == ("data/p0", "data/p1")


def test_folders_at_different_rates_or_lead_sets_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", "x", "nsr", fs=100.0)
    write(tmp_path / "b", "y", "nsr", fs=250.0)
    write(tmp_path / "c", "z", "nsr", leads=("II",))
    with pytest.raises(RecordError, match=r"y has 250 Hz, \S*x has 100 Hz; one rate is needed. Give fs"):
        StripDataset([tmp_path / "a", tmp_path / "b"], seconds=4.0)
    with pytest.raises(RecordError, match=r"z has leads II, \S*x has I; one set is needed"):
        StripDataset([tmp_path / "a", tmp_path / "c"], seconds=4.0)
    with pytest.raises(RecordError, match=r"z has leads II; I was asked for"):
        StripDataset([tmp_path / "a", tmp_path / "c"], seconds=4.0, leads=("I",))


def test_parts_and_rhythms_that_are_not_there_are_refused(plain: Path, mixed: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no record in part val"):
        StripDataset(plain, seconds=4.0, part="val")
    with pytest.raises(OptionError, match="no strip of vt; there are afib, nsr"):
        StripDataset(mixed, seconds=4.0, rhythms=("vt",))
    with pytest.raises(RecordError, match="no folder"):
        StripDataset(tmp_path / "nowhere")


# ------------------------------------------------------------------ records that cannot be read


@pytest.mark.parametrize("workers", [0, 2])
def test_a_record_that_breaks_mid_epoch_is_named_skipped_and_counted(tmp_path: Path, workers: int) -> None:
    for i in range(60):
        write(tmp_path / "data", f"n{i:02d}", "nsr" if i % 2 else "afib")
    data = StripDataset(tmp_path / "data", seconds=4.0)
    (tmp_path / "data" / "n07.dat").write_bytes(b"12")
    loader = DataLoader(
        data,
        batch_size=10,
        num_workers=workers,
        collate_fn=TransformedBatches(None),
        persistent_workers=False,
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        first, second = batches(loader), batches(loader)
    assert [len(batch["label"]) for batch in first + second] == [10] * 12
    assert data.unreadable() == {str(tmp_path / "data" / "n07"): 2}
    if workers == 0:
        assert len(told) == 1 and "n07" in str(told[0].message)
    # what stands in for it has its rhythm
    assert torch.equal(torch.cat([batch["label"] for batch in first]), data.label)


def test_training_on_the_rest_of_a_broken_disk_is_refused(tmp_path: Path) -> None:
    for i in range(40):
        write(tmp_path, f"n{i:02d}", "nsr")
    data = StripDataset(tmp_path, seconds=4.0)
    for i in range(3):
        (tmp_path / f"n{i:02d}.dat").write_bytes(b"12")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RecordError, match=r"3 of 40 records cannot be read, more than 5%"):
            [data[i] for i in range(40)]


def test_gaps_in_a_strip_are_met_like_an_unreadable_record(tmp_path: Path) -> None:
    for i in range(30):
        write(tmp_path, f"n{i:02d}", "nsr")
    data = StripDataset(tmp_path, seconds=4.0)
    digital = np.fromfile(tmp_path / "n04.dat", "<i2")
    digital[50] = -32768  # WFDB's mark of an invalid sample
    digital.tofile(tmp_path / "n04.dat")
    header = (tmp_path / "n04.hea").read_text().splitlines()
    fields = header[1].split()
    fields[6] = str(int(digital.sum(dtype=np.int64)) % 65536)
    (tmp_path / "n04.hea").write_text("\n".join([header[0], " ".join(fields), *header[2:]]) + "\n")
    with pytest.warns(UserWarning, match="n04: has gaps"):
        assert data[4]["signal"].isfinite().all()


# ------------------------------------------------------------------ mixing


def test_an_epoch_has_every_real_strip_once_and_synthetic_ones_at_the_ratio(mixed: Path) -> None:
    data = StripDataset(mixed, part="train", seconds=4.0)
    afib = data.label == data.rhythms.index("afib")
    real, made = int((afib & ~data.synthetic).sum()), int((afib & data.synthetic).sum())
    assert real == made > 0
    for ratio, expected in ((None, made), (0.0, 0), (0.5, round(0.5 * real)), (2.0, 2 * real)):
        sampler = MixedSampler(data, ratio, seed=1)
        drawn = list(sampler)
        assert len(drawn) == len(sampler)
        assert sorted(i for i in drawn if not data.synthetic[i]) == (~data.synthetic).nonzero()[:, 0].tolist()
        assert sum(bool(data.synthetic[i] and afib[i]) for i in drawn) == expected


def test_epochs_differ_repeat_with_the_seed_and_get_round_to_every_synthetic_strip(mixed: Path) -> None:
    data = StripDataset(mixed, part="train", seconds=4.0)
    sampler = MixedSampler(data, 0.5, seed=3)
    epochs = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    assert epochs[0] != epochs[1]
    assert list(MixedSampler(data, 0.5, seed=3)) == epochs[0]
    assert list(MixedSampler(data, 0.5, seed=4)) != epochs[0]
    used = Counter(i for epoch in epochs for i in epoch if data.synthetic[i])
    assert set(used) == set(data.synthetic.nonzero()[:, 0].tolist())
    for rhythm in data.label.unique():
        counts = [n for i, n in used.items() if data.label[i] == rhythm]
        assert not counts or max(counts) - min(counts) <= 1


def test_balanced_epochs_draw_rhythms_equally(mixed: Path) -> None:
    data = StripDataset(mixed, part="train", seconds=4.0)
    drawn = list(MixedSampler(data, 0.0, balanced=True))
    counts = Counter(int(data.label[i]) for i in drawn)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(drawn) == int((~data.synthetic).sum())


@pytest.mark.parametrize("ratio", [-0.5, 100.0, float("nan")])
def test_absurd_ratios_are_refused(mixed: Path, ratio: float) -> None:
    with pytest.raises(OptionError, match="allowed are 0 to 20"):
        MixedSampler(StripDataset(mixed, part="train", seconds=4.0), ratio)
    with pytest.raises(OptionError, match="allowed are 0 to 20"):
        StripData(mixed, ratio=ratio)


def test_a_ratio_without_synthetic_strips_is_refused(plain: Path) -> None:
    with pytest.raises(OptionError, match="there is no synthetic strip"):
        MixedSampler(StripDataset(plain, seconds=4.0), 1.0)


def streamed(stream: MixedStream, workers: int, epoch: int = 0) -> list[dict[str, torch.Tensor]]:
    stream.set_epoch(epoch)
    return batches(DataLoader(stream, batch_size=8, num_workers=workers, collate_fn=TransformedBatches(None)))


def test_strips_generated_while_training_keep_the_ratio_and_never_repeat(mixed: Path) -> None:
    data = StripDataset(mixed, part="train", seconds=4.0)
    real = ~data.synthetic
    afib = data.rhythms.index("afib")
    wanted = 2 * int((real & (data.label == afib)).sum())
    stream = MixedStream(data, {"afib": Wish("afib")}, "parametric", ratio=2.0, seed=5)
    first, again, later = streamed(stream, 0), streamed(stream, 0), streamed(stream, 0, epoch=1)
    for one, two in zip(first, again, strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)
    made = [batch["signal"][batch["synthetic"]] for batch in first]
    assert sum(map(len, made)) == wanted
    assert sum(int((~batch["synthetic"]).sum()) for batch in first) == int(real.sum())
    assert all((batch["label"][batch["synthetic"]] == afib).all() for batch in first)
    both = torch.cat(made + [batch["signal"][batch["synthetic"]] for batch in later]).flatten(1)
    assert len(torch.unique(both, dim=0)) == 2 * wanted
    shared = streamed(stream, 2)
    found = sorted(int(i) for batch in shared for i in batch["index"] if i < len(data))
    assert found == real.nonzero()[:, 0].tolist()
    assert abs(sum(int(batch["synthetic"].sum()) for batch in shared) - wanted) <= 2


def test_a_stream_of_a_rhythm_that_nobody_has_is_refused(mixed: Path) -> None:
    data = StripDataset(mixed, part="train", seconds=4.0)
    with pytest.raises(OptionError, match="no real strip of vt"):
        MixedStream(data, {"vt": Wish("vt")}, "parametric")


# ------------------------------------------------------------------ transforms in the loader


def test_which_worker_makes_a_batch_does_not_matter(mixed: Path) -> None:
    def epoch(workers: int) -> list[dict[str, torch.Tensor]]:
        module = StripData(mixed, seconds=4.0, ratio=1.0, batch_size=8, workers=workers, seed=2)
        module.setup()
        return batches(module.train_dataloader())

    alone, shared = epoch(0), epoch(2)
    assert len(alone) == len(shared) > 1
    for one, two in zip(alone, shared, strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_two_views_of_a_batch_differ_and_repeat(plain: Path) -> None:
    data = StripDataset(plain, seconds=4.0)
    items = [data[i] for i in range(6)]
    collate = TransformedBatches(default_chain(FS, ("I",)), seed=1, views=2)
    batch, again = collate(items), collate(items)
    assert torch.equal(batch["signal"], again["signal"]) and torch.equal(batch["second"], again["second"])
    assert not torch.equal(batch["signal"], batch["second"])
    assert not torch.equal(batch["signal"], collate(items[::-1])["signal"].flip(0))
    with pytest.raises(OptionError, match="views: 3"):
        TransformedBatches(None, views=3)


def test_validation_and_test_are_real_and_untouched(mixed: Path) -> None:
    module = StripData(mixed, seconds=4.0, workers=0, batch_size=4)
    module.setup()
    for part, loader in (("val", module.val_dataloader()), ("test", module.test_dataloader())):
        data = module.parts[part]
        found = batches(loader)
        assert not any(batch["synthetic"].any() for batch in found)
        plainly = torch.stack([data[i]["signal"] for i in range(len(data))])
        assert torch.equal(torch.cat([batch["signal"] for batch in found]), plainly)
        assert data.rhythms == module.parts["train"].rhythms


def test_a_module_needs_a_folder_with_parts(plain: Path) -> None:
    with pytest.raises(OptionError, match="has no part train; make the folder with `ecgsynth augment`"):
        StripData(plain, seconds=4.0).setup()
    with pytest.raises(OptionError, match="batch_size 0"):
        StripData(plain, batch_size=0)


def test_a_model_trains_on_it_and_transforms_can_wait_for_the_device(mixed: Path) -> None:
    import pytorch_lightning as pl

    from ecgsynth.training.run import quiet_lightning

    class Linear(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.noise = torch.nn.Linear(400, 2), []

        def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
            plainly = torch.stack(
                [self.trainer.datamodule.parts["train"][i]["signal"] for i in batch["index"]]
            )
            self.noise.append((batch["signal"] - plainly).std().item())
            return torch.nn.functional.cross_entropy(self.net(batch["signal"][:, 0]), batch["label"])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    quiet_lightning()
    chain = Chain([GaussianNoise(snr_db=(20, 20), p=1.0)], fs=FS, leads=("I",))
    module = StripData(mixed, seconds=4.0, chain=chain, on_device=True, workers=0, batch_size=8)
    model = Linear()
    trainer = pl.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu"
    )
    trainer.fit(model, datamodule=module)
    assert len(model.noise) > 1 and min(model.noise) > 0
    assert module.unreadable() == {}
