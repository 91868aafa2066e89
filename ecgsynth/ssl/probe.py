"""What an encoder is worth: a linear probe and fine-tuning on few labelled people, judged on others."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ecgsynth.augment.chain import default_chain
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.ssl.encoders import Encoder
from ecgsynth.ssl.store import StripStore

#: Resampled sets of people behind an interval.
RESAMPLES: Final = 400
_EMBED_ROWS = 128


@dataclass(frozen=True)
class ProbeOptions:
    """How to probe.

    Attributes
    ----------
    fractions : tuple of float
        Shares of the labelled training people to use, over 0 to 1.
    modes : tuple of {"linear", "finetune"}
    steps : int
        Fine-tuning: optimiser steps, the same for every encoder and share.
    batch_size : int
    lr : float
        Fine-tuning: learning rate of the last layer; the encoder's is a third of it.
    fewest : int
        Rhythms shown by fewer people in ``train`` or ``test`` are left out.
    seed : int
    """

    fractions: tuple[float, ...] = (0.1, 1.0)
    modes: tuple[str, ...] = ("linear",)
    steps: int = 150
    batch_size: int = 64
    lr: float = 1e-3
    fewest: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.fractions or not all(0 < f <= 1 for f in self.fractions):
            raise OptionError(f"--fractions {self.fractions}; allowed are shares over 0 up to 1.")
        if not self.modes or not set(self.modes) <= {"linear", "finetune"}:
            raise OptionError(f"--mode {self.modes}; allowed are linear and finetune.")
        if self.steps < 1 or self.batch_size < 2 or self.lr <= 0 or self.fewest < 1:
            raise OptionError("probe: steps, batch_size, lr and fewest must be positive.")


@dataclass(frozen=True)
class Score:
    """One number with its interval, 95 % from resampling test people.

    Attributes
    ----------
    encoder, mode, rhythm : str
    fraction : float
    people : int
        Labelled people trained on, all rhythms.
    positives : int
        Test people with the rhythm.
    auprc, low, high : float
        Area under precision and recall, one rhythm against the rest.
    auroc : float
    """

    encoder: str
    mode: str
    rhythm: str
    fraction: float
    people: int
    positives: int
    auprc: float
    low: float
    high: float
    auroc: float


@torch.no_grad()
def embed(encoder: Encoder, store: StripStore, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Vectors [N, width] of strips, in evaluation mode."""
    encoder.eval()
    parts = [
        encoder(torch.from_numpy(store.signal(rows[i : i + _EMBED_ROWS]))).numpy()
        for i in range(0, len(rows), _EMBED_ROWS)
    ]
    return np.concatenate(parts).astype(np.float32)


def probe_encoders(
    encoders: dict[str, Encoder],
    store: StripStore,
    options: ProbeOptions,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Score]:
    """Score encoders on the rhythms of a store: trained on people of ``train``, judged on those of ``test``.

    Synthetic strips take no part.

    Raises
    ------
    RecordError
        If fewer than two rhythms have enough people in both parts.
    """
    rhythms = _rhythms(store, options.fewest)
    kept = np.isin(store.rhythm, [store.rhythms.index(r) for r in rhythms]) & ~store.synthetic
    train = np.flatnonzero(kept & (store.part == "train"))
    test = np.flatnonzero(kept & (store.part == "test"))
    number = {store.rhythms.index(r): i for i, r in enumerate(rhythms)}
    truth = np.array([number[r] for r in store.rhythm[test]])
    scores: list[Score] = []
    jobs = [(n, m, f) for n in encoders for m in options.modes for f in options.fractions]
    for done, (name, mode, fraction) in enumerate(jobs):
        rows = labelled_rows(store, train, fraction, options.seed)
        labels = np.array([number[r] for r in store.rhythm[rows]])
        fit = _linear if mode == "linear" else _finetune
        guess = fit(encoders[name], store, rows, labels, test, len(rhythms), options)
        people = len(np.unique(store.person[rows]))
        for i, rhythm in enumerate(rhythms):
            judged = _judge(truth == i, guess[:, i], store.person[test], options.seed)
            scores.append(Score(name, mode, rhythm, fraction, people, *judged))
        if progress is not None:
            progress(done + 1, len(jobs), f"{name} {mode} {fraction:g}")
    return scores


def _rhythms(store: StripStore, fewest: int) -> list[str]:
    def people(number: int, part: str) -> int:
        own = (store.rhythm == number) & (store.part == part) & ~store.synthetic
        return len(np.unique(store.person[own]))

    found = [
        rhythm
        for i, rhythm in enumerate(store.rhythms)
        if min(people(i, "train"), people(i, "test")) >= fewest
    ]
    if len(found) < 2:
        raise RecordError(
            f"probe: {len(found)} rhythms have {fewest} people or more in both train and test "
            f"({', '.join(store.rhythms) or 'none'} are labelled); two are needed. Give more data, or "
            "another split."
        )
    return found


def labelled_rows(
    store: StripStore, rows: NDArray[np.int64], fraction: float, seed: int
) -> NDArray[np.int64]:
    """Strips of a share of the people, per rhythm and at least one; smaller shares are within larger ones."""
    chosen: set[int] = set()
    for rhythm in np.unique(store.rhythm[rows]):
        people = np.unique(store.person[rows[store.rhythm[rows] == rhythm]])
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(rhythm),)))
        some = rng.permutation(people)[: max(1, round(fraction * len(people)))]
        chosen.update(some.tolist())
    return rows[np.isin(store.person[rows], sorted(chosen))]


def _linear(
    encoder: Encoder,
    store: StripStore,
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    test: NDArray[np.int64],
    classes: int,
    options: ProbeOptions,
) -> NDArray[np.float64]:
    """Probabilities [N, classes] of a balanced logistic regression on standardised vectors."""
    from sklearn.linear_model import LogisticRegression

    known, asked = embed(encoder, store, rows), embed(encoder, store, test)
    mean, spread = known.mean(0), known.std(0) + 1e-6
    model = LogisticRegression(max_iter=2000, class_weight="balanced")
    model.fit((known - mean) / spread, labels)
    out = np.zeros((len(test), classes))
    out[:, model.classes_] = model.predict_proba((asked - mean) / spread)
    return out


def _finetune(
    encoder: Encoder,
    store: StripStore,
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    test: NDArray[np.int64],
    classes: int,
    options: ProbeOptions,
) -> NDArray[np.float64]:
    """Probabilities [N, classes] after training encoder and last layer on rhythms drawn equally often."""
    rng = np.random.default_rng(np.random.SeedSequence(options.seed, spawn_key=(0xF1,)))
    generator = torch.Generator().manual_seed(options.seed)
    net = copy.deepcopy(encoder).train()
    last = torch.nn.Linear(encoder.config.width, classes)
    with torch.no_grad():
        last.weight.copy_(0.01 * torch.randn(last.weight.shape, generator=generator))
        last.bias.zero_()
    groups: list[dict[str, Any]] = [
        {"params": net.parameters(), "lr": options.lr / 3},
        {"params": last.parameters()},
    ]
    optimizer = torch.optim.AdamW(groups, lr=options.lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    chain = default_chain(store.fs, store.leads)
    of = [np.flatnonzero(labels == i) for i in range(classes)]
    present = [i for i in range(classes) if len(of[i])]
    for step in range(options.steps):
        picked = np.array([rng.choice(of[present[i % len(present)]]) for i in range(options.batch_size)])
        signal = chain(torch.from_numpy(store.signal(rows[picked])), options.seed * 1_000_003 + step)
        loss = functional.cross_entropy(last(net(signal)), torch.from_numpy(labels[picked]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*net.parameters(), *last.parameters()], 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        logits = last(torch.from_numpy(embed(net, store, test)))
    return np.asarray(logits.softmax(dim=1).double().numpy())


def _judge(
    truth: NDArray[np.bool_], guess: NDArray[np.float64], person: NDArray[np.int64], seed: int
) -> tuple[int, float, float, float, float]:
    """People with the rhythm, AUPRC with its interval, AUROC."""
    from sklearn.metrics import roc_auc_score

    people, own = np.unique(person, return_inverse=True)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xB0,)))
    # How often each person was drawn; those draws of people in which nobody has the rhythm say nothing.
    times = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), size=RESAMPLES)[:, own]
    drawn = weighted_auprc(truth, guess, times[(times * truth).any(axis=1)].astype(float))
    low, high = np.quantile(drawn, [0.025, 0.975])
    auprc = float(weighted_auprc(truth, guess, np.ones((1, len(truth))))[0])
    positives = len(np.unique(person[truth]))
    return positives, auprc, float(low), float(high), float(roc_auc_score(truth, guess))


def weighted_auprc(
    truth: NDArray[np.bool_], guess: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average precision [R] for R weightings of the same rows; equal guesses share one threshold.

    ``sum over positives of weight x precision at their threshold / sum of their weights``, as
    `sklearn.metrics.average_precision_score` has it.

    Parameters
    ----------
    truth : bool array [N]
    guess : float array [N]
    weight : float array [R, N]
    """
    order = np.argsort(-guess, kind="stable")
    falling = -guess[order]
    last = np.searchsorted(falling, falling, side="right") - 1
    positive = weight[:, order] * truth[order]
    hits, all_of_them = positive.cumsum(axis=1)[:, last], weight[:, order].cumsum(axis=1)[:, last]
    precision = np.divide(hits, all_of_them, out=np.zeros_like(hits), where=all_of_them > 0)
    return np.asarray((precision * positive).sum(axis=1) / positive.sum(axis=1))


def score_table(scores: Sequence[Score]) -> str:
    """Scores as text."""
    head = ["ENCODER", "MODE", "LABELS", "PEOPLE", "RHYTHM", "TEST PEOPLE", "AUPRC (95 %)", "AUROC"]
    cells: list[list[Any]] = [
        [
            s.encoder,
            s.mode,
            f"{s.fraction:.0%}",
            s.people,
            s.rhythm,
            s.positives,
            f"{s.auprc:.3f} ({s.low:.3f}-{s.high:.3f})",
            f"{s.auroc:.3f}",
        ]
        for s in scores
    ]
    lines = [head, *[[str(cell) for cell in row] for row in cells]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )
