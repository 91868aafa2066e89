"""What is measured once of each record of a set, and then compared as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OptionError
from ecgsynth.fidelity.features import FEATURES, record_features
from ecgsynth.fidelity.halves import number_people
from ecgsynth.rpeaks import bridge_gaps, detect_r_peaks

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Progress = Callable[[str], None]

#: Leads whose features are taken where a set has several, in this order; three say most of what twelve do.
FEATURE_LEADS: Final = ("II", "MLII", "V1", "V5", "I")
MOST_FEATURE_LEADS: Final = 3
#: Features that belong to the record and not to a lead.
RHYTHM_FEATURES: Final = frozenset(
    {"rate", "nrmssd", "rr_cv", "rr_lag1", "rr_lag2", "rr_skew", "alternate_2", "alternate_3"}
)
#: Highest frequency of the spectra, in Hz.
HIGHEST_HZ: Final = 100.0
#: Power below which nothing is left of a signal, in mV^2/Hz: that of rounding to 1 uV at 250 Hz.
QUIETEST: Final = 1e-9
_TICK: Final = 64


@dataclass(frozen=True)
class StripSet:
    """One rhythm, one set of leads, one sampling rate, one length.

    Attributes
    ----------
    signals : float32 array [records, leads, samples]
        In mV; NaN marks gaps.
    fs : float
        Sampling rate in Hz.
    leads : tuple of str
        One name per lead.
    people : tuple of str
        Whose record each is; a synthetic record is its own person.
    """

    signals: NDArray[np.float32]
    fs: float
    leads: tuple[str, ...]
    people: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = self.signals.shape
        if len(shape) != 3 or shape[:2] != (len(self.people), len(self.leads)) or not all(shape):
            raise OptionError(
                f"strip set: signals of shape {shape} with {len(self.people)} people and {len(self.leads)} "
                "leads; it must be [people, leads, samples], and none of them empty."
            )


@dataclass(frozen=True)
class StripNumbers:
    """Numbers of a set's records; one row per record unless it says otherwise.

    Attributes
    ----------
    owner : int64 array [records]
        Number of each record's person.
    embedding : float32 array [records, width]
    table : float64 array [records, features]
        NaN where a feature cannot be measured.
    names : tuple of str
        Names of the features, see `feature_names`.
    rr : float64 array [intervals]
        RR intervals of all records, in seconds.
    rr_record : int64 array [intervals]
        The row that each is from.
    hz : float64 array [bins]
    spectrum : float64 array [records, bins]
        Power in dB over 1 mV^2/Hz, mean over leads.
    correlation : float64 array [records, leads, leads] or None
        Correlation of each two leads; None for one lead.
    """

    owner: Index
    embedding: NDArray[np.float32]
    table: Array
    names: tuple[str, ...]
    rr: Array
    rr_record: Index
    hz: Array
    spectrum: Array
    correlation: Array | None

    @property
    def people(self) -> int:
        """How many people the records are of."""
        return int(self.owner.max()) + 1

    def columns(self, features: Sequence[str]) -> list[int]:
        """Columns of the table that hold one of ``features``, of any lead."""
        return [i for i, name in enumerate(self.names) if name.split(" ")[-1] in features]

    def take(self, rows: Index) -> StripNumbers:
        """The records ``rows``, strictly increasing."""
        place = np.full(len(self.owner), -1)
        place[rows] = np.arange(len(rows))
        inside = np.flatnonzero(place[self.rr_record] >= 0)
        return replace(
            self,
            owner=self.owner[rows],
            embedding=self.embedding[rows],
            table=self.table[rows],
            rr=self.rr[inside],
            rr_record=place[self.rr_record[inside]],
            spectrum=self.spectrum[rows],
            correlation=None if self.correlation is None else self.correlation[rows],
        )


def measure_strips(strips: StripSet, title: str = "", progress: Progress | None = None) -> StripNumbers:
    """Embed and measure every record of a set.

    Parameters
    ----------
    strips : StripSet
    title : str
        What to call the set in progress messages.
    progress : callable, optional
        Called with one line of text now and then.

    Raises
    ------
    OptionError
        If the strips are too short to embed.
    """
    from ecgsynth.fidelity.encoder import embed

    total = len(strips.signals)

    def tick(what: str) -> Callable[[int], None] | None:
        return None if progress is None else lambda done: progress(f"{title}: {what} {done} of {total}")

    embedding = embed(strips.signals, strips.fs, strips.leads, tick("embedded"))
    names, table, rr, rr_record = _features(strips, tick("measured"))
    hz, spectrum = _spectra(strips.signals, strips.fs)
    return StripNumbers(
        number_people(strips.people),
        embedding,
        table,
        names,
        rr,
        rr_record,
        hz,
        spectrum,
        _correlations(strips.signals) if len(strips.leads) > 1 else None,
    )


def feature_leads(leads: tuple[str, ...]) -> list[int]:
    """Which of ``leads`` features are taken from, best known first."""
    known = [leads.index(name) for name in FEATURE_LEADS if name in leads]
    return (known + [i for i in range(len(leads)) if i not in known])[:MOST_FEATURE_LEADS]


def feature_names(leads: tuple[str, ...]) -> tuple[str, ...]:
    """Columns of the feature table of a set with ``leads``.

    Those of the rhythm and of the first lead of `feature_leads` are called as in `FEATURES`; those of the
    other leads begin with the lead's name: ``"V1 r_height"``.
    """
    own = [name for name in FEATURES if name not in RHYTHM_FEATURES]
    return (*FEATURES, *(f"{leads[i]} {name}" for i in feature_leads(leads)[1:] for name in own))


def _features(
    strips: StripSet, tick: Callable[[int], None] | None
) -> tuple[tuple[str, ...], Array, Array, Index]:
    """Names and table of the features; RR intervals in seconds and the record of each."""
    chosen, names = feature_leads(strips.leads), feature_names(strips.leads)
    table = np.empty((len(strips.signals), len(names)))
    rr, counts = [], []
    for i, record in enumerate(strips.signals):
        leads = bridge_gaps(record[chosen].astype(np.float64))
        peaks = np.asarray(detect_r_peaks(leads, strips.fs), dtype=np.int64)
        row = record_features(leads[0], strips.fs, peaks)
        for at, signal in zip(chosen[1:], leads[1:], strict=True):
            values = record_features(signal, strips.fs, peaks)
            row |= {f"{strips.leads[at]} {name}": value for name, value in values.items()}
        table[i] = [row[name] for name in names]
        rr.append(np.diff(peaks) / strips.fs)
        counts.append(len(rr[-1]))
        if tick is not None and (i % _TICK == _TICK - 1 or i == len(strips.signals) - 1):
            tick(i + 1)
    return names, table, np.concatenate(rr), np.repeat(np.arange(len(rr)), counts)


def _spectra(signals: NDArray[np.float32], fs: float) -> tuple[Array, Array]:
    """Centres of bins of 1 Hz, and each record's power in them in dB over 1 mV^2/Hz."""
    n = signals.shape[2]
    window = np.hanning(n)
    frequency = np.fft.rfftfreq(n, 1.0 / fs)
    edges = np.arange(0.5, min(HIGHEST_HZ, fs / 2) + 1e-9, max(1.0, 2.0 * fs / n))
    starts = np.searchsorted(frequency, edges)
    scale = 2.0 / (fs * np.square(window).sum())
    width = np.diff(starts)
    spectrum = np.empty((len(signals), len(width)))
    for start in range(0, len(signals), _TICK):
        block = signals[start : start + _TICK].astype(np.float64)
        if not np.isfinite(block).all():
            block = np.stack([bridge_gaps(record) for record in block])
        level = (block - block.mean(axis=2, keepdims=True)) * window
        power = np.square(np.abs(np.fft.rfft(level))) * scale
        binned = np.add.reduceat(power, starts, axis=2)[:, :, :-1] / width
        spectrum[start : start + _TICK] = 10.0 * np.log10(np.maximum(binned, QUIETEST)).mean(axis=1)
    return (edges[:-1] + edges[1:]) / 2.0, spectrum


def _correlations(signals: NDArray[np.float32]) -> Array:
    """Correlation matrix of each record's leads [records, leads, leads]; 0 for a lead that does not move."""
    out = np.empty((len(signals), signals.shape[1], signals.shape[1]))
    for row, record in zip(out, signals, strict=True):
        level = bridge_gaps(record.astype(np.float64))
        level = level - level.mean(axis=1, keepdims=True)
        length = np.sqrt(np.square(level).sum(axis=1, keepdims=True))
        level = level / np.maximum(length, 1e-9)
        row[:] = level @ level.T
    return out
