"""Learning without labels: losses as in their papers, training that resumes exactly, probes that can tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional

from ecgsynth.cli import main
from ecgsynth.errors import CheckpointError, OptionError, OutputError, RecordError
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.split import SplitManifest, split_people
from ecgsynth.ssl.encoder_file import load_encoder, save_encoder
from ecgsynth.ssl.encoders import KINDS, EncoderConfig, Transformer, build_encoder, standardised
from ecgsynth.ssl.options import PretrainOptions
from ecgsynth.ssl.pretrain import pretrain_encoder
from ecgsynth.ssl.probe import ProbeOptions, embed, labelled_rows, probe_encoders, score_table, weighted_auprc
from ecgsynth.ssl.probing import probe_folder
from ecgsynth.ssl.store import Cut, Pairs, StripStore, gather
from ecgsynth.ssl.tasks import METHODS, TaskOptions, build_task, info_nce
from ecgsynth.wfdb_io import write_record

FS, SECONDS = 100.0, 2.0


def write_people(folder: Path, people: int = 12, *, strips: int = 3, labelled: bool = True) -> Path:
    """Half regular in rhythm, half not, each person with a beat shape of its own."""
    folder.mkdir(parents=True)
    for i in range(people):
        rng = np.random.default_rng(i)
        n = round(strips * SECONDS * FS)
        regular = i % 2 == 0
        rr = np.full(40, 0.8) if regular else rng.uniform(0.35, 1.2, 40)
        t = np.arange(n) / FS
        beats = np.cumsum(rr) - rng.uniform(0, 0.8)
        width = rng.uniform(0.015, 0.03)
        signal = sum(np.exp(-((t - at) ** 2) / (2 * width**2)) for at in beats)
        signal = signal + 0.02 * rng.standard_normal(n)
        comments = [f"Subject: p{i:02d}"]
        comments += [f"Dx: {RHYTHMS['nsr' if regular else 'afib'].snomed}"] if labelled else []
        write_record(folder, f"r{i:02d}", signal[None].astype(np.float32), FS, ("I",), comments)
    return folder


def config(kind: str, **given: Any) -> EncoderConfig:
    return EncoderConfig(kind, **{"leads": ("I",), "samples": 200, "width": 32, "depth": 1, **given})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("ssl") / "clinic", 24)


@pytest.fixture(scope="module")
def store(data: Path, tmp_path_factory: pytest.TempPathFactory) -> StripStore:
    return gather([data], tmp_path_factory.mktemp("store"), Cut(FS, SECONDS), None, 0)[0]


def options(data: Path, out: Path, **given: Any) -> PretrainOptions:
    small = {"seconds": SECONDS, "width": 32, "depth": 1, "epochs": 2, "batch_size": 16}
    return PretrainOptions(**{"data": (data,), "out": out, **small, **given})


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_encoder(path)[0].state_dict()


# ------------------------------------------------------------------ encoders


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_gives_one_vector_per_strip_whatever_gain_and_offset(kind: str) -> None:
    torch.manual_seed(0)
    net = build_encoder(config(kind, leads=("I", "II", "V1"))).eval()
    signal = torch.randn(5, 3, 200)
    found = net(signal)
    assert found.shape == (5, 32) and found.std(0).mean() > 0.001
    assert torch.allclose(net(3 * signal + torch.randn(5, 3, 1)), found, atol=1e-3)
    louder = signal * torch.tensor([1.0, 2.0, 1.0])[:, None]  # between leads, proportion matters
    assert not torch.allclose(net(louder), found, atol=1e-3)
    assert net(torch.zeros(2, 3, 200)).isfinite().all()


def test_what_encoders_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="known are resnet, hybrid, transformer"):
        config("lstm")
    with pytest.raises(OptionError, match="width 20"):
        config("resnet", width=20)
    with pytest.raises(OptionError, match="at least 2 are needed"):
        config("transformer", samples=30)


def test_patches_hold_the_strip() -> None:
    net = build_encoder(config("transformer", leads=("I", "II")))
    assert isinstance(net, Transformer)
    signal = torch.randn(3, 2, 200)
    patches = net.patches(signal)
    assert patches.shape == (3, 10, 40)
    assert torch.equal(patches[1, 4], signal[1, :, 80:100].flatten())


def test_only_shown_patches_are_looked_at() -> None:
    net = build_encoder(config("transformer")).eval()
    assert isinstance(net, Transformer)
    patches = net.patches(torch.randn(2, 1, 200))
    kept = torch.tensor([[1, 4, 7]] * 2)
    before = net.encode(patches, kept)
    patches[:, [0, 2, 3, 5, 6, 8, 9]] += 5
    assert torch.allclose(net.encode(patches, kept), before, atol=1e-6)


def test_an_encoder_file_gives_the_encoder_again_and_refuses_others(tmp_path: Path) -> None:
    net = build_encoder(config("hybrid")).eval()
    save_encoder(tmp_path / "a.safetensors", net, {"method": "simclr"})
    again, notes = load_encoder(tmp_path / "a.safetensors")
    assert notes == {"method": "simclr"} and again.config == net.config
    signal = torch.randn(2, 1, 200)
    assert torch.equal(again(signal), net(signal))
    from ecgsynth.checkpoint import shipped_weights

    with pytest.raises(CheckpointError, match="holds a 'cvae', no encoder"):
        load_encoder(shipped_weights("cvae"))
    torch.save({}, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="pickle"):
        load_encoder(tmp_path / "b.safetensors")
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    save_encoder(tmp_path / "c.safetensors", net, {})
    with pytest.raises(CheckpointError, match="NaN"):
        load_encoder(tmp_path / "c.safetensors")


# ------------------------------------------------------------------ losses


def test_the_contrastive_loss_is_that_of_the_paper() -> None:
    one, two = (functional.normalize(torch.randn(4, 8, dtype=torch.float64), dim=1) for _ in range(2))
    others = functional.normalize(torch.randn(6, 8, dtype=torch.float64), dim=1)
    same = torch.rand(4, 6) < 0.3
    found = info_nce(one, two, others, same, 0.2)
    by_hand = 0.0
    for i in range(4):
        positive = np.exp(float(one[i] @ two[i]) / 0.2)
        negatives = sum(np.exp(float(one[i] @ others[j]) / 0.2) for j in range(6) if not same[i, j])
        by_hand -= np.log(positive / (positive + negatives)) / 4
    assert float(found) == pytest.approx(by_hand)


def batch(rows: int = 8, people: list[int] | None = None) -> dict[str, torch.Tensor]:
    signal = torch.randn(rows, 1, 200)
    return {
        "signal": signal,
        "second": signal + 0.01 * torch.randn(rows, 1, 200),
        "person": torch.tensor(people or list(range(rows))),
        "index": torch.arange(rows),
    }


def test_simclr_agrees_with_cross_entropy_over_similarities() -> None:
    task = build_task("simclr", build_encoder(config("resnet")), TaskOptions(10))
    given = batch()
    found = functional.normalize(
        task.project(task.encoder(torch.cat([given["signal"], given["second"]]))), dim=1
    )
    logits = (found @ found.T / 0.1).masked_fill(torch.eye(16, dtype=torch.bool), float("-inf"))
    expected = functional.cross_entropy(logits, torch.arange(16).roll(8))
    assert torch.allclose(task.loss(given), expected, atol=1e-5)


def test_strips_of_one_person_are_no_negatives_of_each_other() -> None:
    task = build_task("simclr", build_encoder(config("resnet")), TaskOptions(10))
    given = batch(people=[0] * 8)
    assert task.loss(given).item() == pytest.approx(0, abs=1e-6)


def test_mocos_queue_holds_the_last_keys_and_the_slow_encoder_follows() -> None:
    how = TaskOptions(10, queue=40, momentum=0.9)
    task = build_task("moco", build_encoder(config("resnet")), how).train()
    first, second, third = batch(), batch(), batch()
    with torch.no_grad():
        for given in (first, second, third):
            task.loss(given)
        keys = [
            functional.normalize(task.slow(torch.cat([given["second"], given["signal"]])), dim=1)
            for given in (third, second, first)
        ]
    assert int(task.filled) == 40
    assert torch.allclose(task.queue, torch.cat(keys)[:40], atol=1e-5)
    assert task.queue_person.tolist() == [*range(8)] * 5
    before = [p.clone() for p in task.slow.parameters()]
    with torch.no_grad():
        for p in task.encoder.parameters():
            p.add_(1.0)
    task.on_train_batch_end()
    moved = next(iter(task.slow.parameters())) - before[0]
    assert torch.allclose(moved, torch.full_like(moved, 0.1), atol=1e-5)
    assert not any(p.requires_grad for p in task.slow.parameters())


def test_an_empty_queue_is_no_negative_and_a_full_one_is() -> None:
    task = build_task("moco", build_encoder(config("resnet")), TaskOptions(10, queue=50)).eval()
    given = batch()
    views = torch.cat([given["signal"], given["second"]])
    query = functional.normalize(task.project(task.encoder(views)), dim=1)
    key = functional.normalize(task.slow(views), dim=1).roll(8, dims=0)
    # Of the 16 keys, the row's own view is of the same person as its positive and does not count.
    own = torch.eye(16, dtype=torch.bool).roll(8, dims=1)
    logits = (query @ key.T / 0.1).masked_fill(own, float("-inf"))
    expected = functional.cross_entropy(logits, torch.arange(16))
    assert torch.allclose(task.loss(given), expected, atol=1e-5)
    task.queue.copy_(functional.normalize(torch.randn(50, 64), dim=1))
    task.queue_person.fill_(99)
    task.filled.fill_(50)
    more = torch.cat([logits, query @ task.queue.T / 0.1], dim=1)
    assert torch.allclose(task.loss(given), functional.cross_entropy(more, torch.arange(16)), atol=1e-5)


def test_masked_autoencoding_counts_hidden_patches_only() -> None:
    task = build_task("mae", build_encoder(config("transformer")), TaskOptions(10, masked=0.6))
    given = batch(4)
    order = task._order(given, 4, 10)
    assert torch.equal(order, task._order(given, 4, 10))
    assert not torch.equal(order, task._order({"index": given["index"] + 4}, 4, 10))
    drawn: list[torch.Tensor] = []
    task.draw.register_forward_hook(lambda _m, _i, out: drawn.append(out.detach()))
    loss = task.loss(given)
    patches = task.encoder.patches(standardised(given["signal"]))
    spread = (patches.var(dim=2, keepdim=True, unbiased=False) + 1e-3).sqrt()
    error = (drawn[0] - (patches - patches.mean(2, keepdim=True)) / spread).square().mean(2)
    assert torch.allclose(loss, error.gather(1, order[:, 4:]).mean(), atol=1e-5)
    with pytest.raises(OptionError, match="use --encoder transformer"):
        build_task("mae", build_encoder(config("resnet")), TaskOptions(10))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_on_a_batch(method: str) -> None:
    torch.manual_seed(0)
    kind = "transformer" if method == "mae" else "resnet"
    task = build_task(method, build_encoder(config(kind)), TaskOptions(40, lr=3e-3)).eval()
    given = batch(8)
    optimizer = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(25):
        loss = task.loss(given)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]


# ------------------------------------------------------------------ strips


def test_strips_are_those_of_the_recordings_with_who_and_what(store: StripStore, data: Path) -> None:
    from ecgsynth.datasets.folder import read_folder

    assert len(store) == 24 * 3 and store.rhythms == ("afib", "nsr") and len(store.people) == 24
    first = next(iter(read_folder(data)))
    assert np.allclose(store.signal([1])[0], first.signal[:, 200:400], atol=1e-3)
    assert store.people[store.person[0]] == "clinic/p00" and store.rhythms[store.rhythm[0]] == "nsr"
    parts = {store.part[store.person == p].tolist()[0] for p in range(24)}
    assert parts == {"train", "val", "test"}
    assert all(len(set(store.part[store.person == p])) == 1 for p in range(24))


def test_unlabelled_recordings_are_strips_too(tmp_path: Path) -> None:
    plain = write_people(tmp_path / "plain", 4, labelled=False)
    (tmp_path / "out").mkdir()
    found, _ = gather([plain], tmp_path / "out", Cut(FS, SECONDS), None, 0)
    assert len(found) == 12 and set(found.rhythm.tolist()) == {-1}


def test_synthetic_recordings_are_learned_from_and_never_judged_on(data: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    for i in range(4):
        signal = np.random.default_rng(i).standard_normal((1, 400)).astype(np.float32)
        comments = [f"Dx: {RHYTHMS['afib'].snomed}", "Synthetic: yes"]
        write_record(made, f"s{i}", signal, FS, ("I",), comments)
    (tmp_path / "out").mkdir()
    found, split = gather([data, made], tmp_path / "out", Cut(FS, SECONDS), None, 0)
    assert found.synthetic.sum() == 8 and set(found.part[found.synthetic]) == {"train"}
    assert {name for name in split.train if name.startswith("made/")} == {f"made/s{i}" for i in range(4)}
    scores = probe_encoders({"sees": Knowing(False)}, found, ProbeOptions(fractions=(1.0,), fewest=1))
    people = {int(p) for p in found.person[found.rows("train")][~found.synthetic[found.rows("train")]]}
    assert all(score.people == len(people) for score in scores)


def test_a_split_is_followed_and_strangers_are_split_anew(data: Path, tmp_path: Path) -> None:
    known = split_people({f"clinic/p{i:02d}": ["nsr"] for i in range(12)}, seed=3)
    found, merged = gather([data], tmp_path, Cut(FS, SECONDS), known, 0)
    for part in ("train", "val", "test"):
        assert set(getattr(known, part)) <= set(getattr(merged, part))
        assert len(getattr(merged, part)) > len(getattr(known, part))
    everyone = split_people({name: ["nsr"] for name in found.people}, seed=4)
    assert gather([data], tmp_path, Cut(FS, SECONDS), everyone, 0)[1] == everyone


def test_partners_are_of_the_same_person_and_change_with_the_epoch(store: StripStore) -> None:
    rows = store.rows("train")
    pairs = Pairs(store, rows, "person", seed=1)
    of = {store.signal([row])[0].tobytes(): int(row) for row in range(len(store))}
    partners = []
    for number in range(3 * len(rows)):
        item = pairs[number]
        row, partner = int(rows[number % len(rows)]), of[item["second"].numpy().tobytes()]
        assert store.person[row] == store.person[partner] and row != partner
        assert int(item["index"]) == number
        partners.append(partner)
    epochs = np.array(partners).reshape(3, -1)
    assert (epochs[0] != epochs[1]).any()
    assert torch.equal(pairs[5]["second"], Pairs(store, rows, "person", seed=1)[5]["second"])
    assert torch.equal(Pairs(store, rows, "view")[3]["second"], store[int(rows[3])]["signal"])
    with pytest.raises(OptionError, match="allowed are view and person"):
        Pairs(store, rows, "lead")


# ------------------------------------------------------------------ pretraining


@pytest.mark.parametrize("method", METHODS)
def test_pretraining_resumes_to_the_same_bytes(method: str, data: Path, tmp_path: Path) -> None:
    kind = "transformer" if method == "mae" else "resnet"
    whole = pretrain_encoder(options(data, tmp_path / "whole", method=method, encoder=kind, epochs=3))
    assert whole.complete and np.isfinite(whole.loss) and whole.people < 24

    class Stop(Exception):
        pass

    def interrupt(done: int, total: int, note: str) -> None:
        if done > total // 3 + 1:
            raise Stop

    given = options(data, tmp_path / "parts", method=method, encoder=kind, epochs=3)
    with pytest.raises(Stop):
        pretrain_encoder(given, interrupt)
    assert not (tmp_path / "parts" / "encoder.safetensors").exists()
    again = pretrain_encoder(
        options(data, tmp_path / "parts", method=method, encoder=kind, epochs=3, resume=True)
    )
    assert again.encoder.read_bytes() == whole.encoder.read_bytes()
    assert again.steps == whole.steps


def test_an_encoder_says_what_it_learned_from(data: Path, tmp_path: Path) -> None:
    made = pretrain_encoder(options(data, tmp_path / "out", epochs=1, pairs="person", method="moco"))
    notes = load_encoder(made.encoder)[1]
    split = SplitManifest.from_json((tmp_path / "out" / "split.json").read_text())
    assert notes["split"] == split.sha256 and notes["people"] == len(split.train)
    assert (notes["method"], notes["pairs"], notes["synthetic_strips"]) == ("moco", "person", 0)
    assert str(tmp_path) not in made.encoder.read_bytes().decode("latin-1")


def test_pretraining_refuses_in_words(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(CheckpointError, match="nothing to resume"):
        pretrain_encoder(options(data, out, resume=True))
    with pytest.raises(RecordError, match="smaller one"):
        pretrain_encoder(options(data, out, batch_size=500))
    with pytest.raises(OutputError, match="exists already"):
        pretrain_encoder(options(data, out))
    with pytest.raises(CheckpointError, match=r"batch_size, lr changed since"):
        pretrain_encoder(options(data, out, batch_size=8, lr=1.0, resume=True))
    with pytest.raises(OptionError, match="known are simclr, moco, mae"):
        options(data, out, method="byol")
    with pytest.raises(OptionError, match="--epochs 0"):
        options(data, out, epochs=0)
    with pytest.raises(OptionError, match="--data: no folder"):
        PretrainOptions(data=(), out=out)
    with pytest.raises(RecordError, match="no folder"):
        pretrain_encoder(options(tmp_path / "nowhere", tmp_path / "other"))


# ------------------------------------------------------------------ probes


def test_smaller_shares_of_people_lie_within_larger_ones(store: StripStore) -> None:
    rows = store.rows("train")
    sets = [set(labelled_rows(store, rows, f, 0).tolist()) for f in (0.1, 0.5, 1.0)]
    assert sets[0] < sets[1] < sets[2] == set(rows.tolist())
    for some in sets:  # whole people, and each rhythm is there
        people = {int(store.person[row]) for row in some}
        assert some == {int(row) for row in rows if int(store.person[row]) in people}
        assert {int(store.rhythm[row]) for row in some} == {0, 1}


def test_average_precision_is_that_of_scikit_learn_ties_and_weights_included() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    truth, guess = rng.random(60) < 0.3, rng.integers(0, 12, 60) / 10
    weight = rng.integers(0, 4, (5, 60)).astype(float)
    found = weighted_auprc(truth, guess, weight)
    expected = [average_precision_score(truth, guess, sample_weight=row) for row in weight]
    assert found == pytest.approx(expected)


class Knowing(torch.nn.Module):
    """Stands in for an encoder that sees what matters: how unevenly the beats come."""

    def __init__(self, blind: bool) -> None:
        super().__init__()
        self.config, self.blind = config("resnet", width=16), blind

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        lags = torch.stack([(signal * signal.roll(k, -1)).mean((1, 2)) for k in range(60, 92, 2)], dim=1)
        return torch.zeros_like(lags) if self.blind else lags


def test_a_probe_tells_an_encoder_that_sees_from_one_that_does_not(store: StripStore) -> None:
    encoders: Any = {"sees": Knowing(False), "blind": Knowing(True)}
    scores = probe_encoders(encoders, store, ProbeOptions(fractions=(1.0,), fewest=1))
    by = {(s.encoder, s.rhythm): s for s in scores}
    assert by["sees", "afib"].auroc > 0.9 > 0.6 > by["blind", "afib"].auroc
    for score in scores:
        assert score.low <= score.auprc <= score.high
        assert score.people == len(np.unique(store.person[store.rows("train")]))
        test = store.rows("test")
        own = test[store.rhythm[test] == store.rhythms.index(score.rhythm)]
        assert score.positives == len(np.unique(store.person[own]))
    table = score_table(scores)
    assert "sees" in table and "AUPRC" in table


def test_fine_tuning_leaves_the_encoder_as_it_was_and_repeats(store: StripStore) -> None:
    torch.manual_seed(0)
    net = build_encoder(config("resnet")).eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    how = ProbeOptions(fractions=(0.5,), modes=("finetune",), steps=3, batch_size=8, fewest=1)
    one, two = (probe_encoders({"net": net}, store, how) for _ in range(2))
    assert one == two
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert embed(net, store, store.rows("val")).shape == (len(store.rows("val")), 32)


def test_probes_refuse_in_words(store: StripStore, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="shares over 0 up to 1"):
        ProbeOptions(fractions=(0.0,))
    with pytest.raises(OptionError, match="linear and finetune"):
        ProbeOptions(modes=("guess",))
    with pytest.raises(RecordError, match=r"0 rhythms have 100 people or more in both train and test"):
        probe_encoders({}, store, ProbeOptions(fewest=100))
    with pytest.raises(CheckpointError, match="name a folder that `ecgsynth pretrain` made"):
        probe_folder(tmp_path, (), ProbeOptions())


def test_the_commands_pretrain_and_probe(data: Path, tmp_path: Path) -> None:
    def run(*words: str | Path) -> Any:
        return CliRunner().invoke(main, [str(word) for word in words])

    small = ["--seconds", 2, "--width", 32, "--depth", 1, "--epochs", 1, "--batch-size", 16]
    made = run("pretrain", "--data", data, "--out", tmp_path / "enc", "--method", "mae", *small)
    assert made.exit_code == 0, made.stderr
    assert "Judge it: ecgsynth probe" in made.stdout
    words = ["--fractions", "1", "--fewest", 1, "--json", tmp_path / "s.json"]
    judged = run("probe", "--encoder", tmp_path / "enc", *words)
    assert judged.exit_code == 0, judged.stderr
    rows = json.loads((tmp_path / "s.json").read_text())
    assert {(row["encoder"], row["rhythm"]) for row in rows} == {
        (name, rhythm) for name in ("mae", "random") for rhythm in ("afib", "nsr")
    }
    assert all(0 <= row["low"] <= row["high"] <= 1 for row in rows)
    other = run("probe", "--encoder", tmp_path / "enc", "--data", data, "--no-random", *words)
    assert other.exit_code == 0, other.stderr
    same = json.loads((tmp_path / "s.json").read_text())
    assert same == [row for row in rows if row["encoder"] == "mae"]
    refused = run("probe", "--encoder", tmp_path / "enc", "--fractions", "x")
    assert refused.exit_code == 2 and "--fractions 'x'" in refused.stderr
