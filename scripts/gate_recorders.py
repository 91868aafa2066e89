"""The same strip as another recorder would have stored it: the gate must not take a device for a fault."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from gate_artefacts import artefact
from numpy.typing import NDArray

from ecgsynth.fidelity.fault_net import height_of
from ecgsynth.records import Record
from ecgsynth.windows import resample

#: Sampling rates in Hz, edges in Hz and steps in mV of Holters, monitors, handhelds and hospital carts
#: (IEC 60601-2-25 and -2-27, -2-47: from 0.05 or 0.5 or 0.67 up to 40, 100 or 150 Hz, 5 uV or finer).
RATES = (100.0, 125.0, 128.0, 180.0, 200.0, 250.0, 257.0, 300.0, 360.0, 500.0)
HIGH_PASS = (0.05, 0.15, 0.3, 0.5, 0.67)
LOW_PASS = (30.0, 35.0, 40.0, 60.0, 100.0)
STEPS = (0.001, 0.0025, 0.005)
#: Gain of an electrode on other skin, and of a recorder that is off by as much as it may be and more.
GAINS = (0.75, 1.33)
#: How often a recorder has another rate, filter or step than the one of the strip.
OFTEN = 0.5


@dataclass(frozen=True)
class Recorder:
    """What another device does; None leaves a part as it is.

    ``fs``, ``high_pass`` and ``low_pass`` in Hz, ``step`` in mV, ``gain`` times mV, ``artefacts`` share of
    strips with one.
    """

    fs: float | None
    high_pass: float | None
    low_pass: float | None
    step: float
    gain: float
    artefacts: float = 0.0

    @classmethod
    def drawn(cls, rng: np.random.Generator, artefacts: float = 0.0) -> Recorder:
        """One at random."""
        fs, high, low = (
            float(rng.choice(values)) if rng.random() < OFTEN else None
            for values in (RATES, HIGH_PASS, LOW_PASS)
        )
        gain = float(np.exp(rng.uniform(*np.log(GAINS))))
        return cls(fs, high, low, float(rng.choice(STEPS)), gain, artefacts)

    def store(self, record: Record) -> Record:
        """The record as this device would have kept it: at its rate, filtered, in whole steps."""
        from scipy.signal import butter, sosfilt, sosfilt_zi, sosfiltfilt

        moved = record if self.fs is None else resample(record, self.fs)
        signal = moved.signal.astype(np.float64) * self.gain
        if self.low_pass is not None and self.low_pass < 0.45 * moved.fs:
            signal = sosfiltfilt(butter(2, self.low_pass, fs=moved.fs, output="sos"), signal)
        if self.high_pass is not None:
            # One pole and causal, as in hardware: it bends the ST segment like they do.
            sos = butter(1, self.high_pass, "highpass", fs=moved.fs, output="sos")
            signal, _ = sosfilt(sos, signal, zi=sosfilt_zi(sos)[:, None, :] * signal[None, :, :1])
        stored = (np.round(signal / self.step) * self.step).astype(np.float32)
        return replace(moved, signal=self._disturbed(stored, moved.fs) if self.artefacts else stored)

    def _disturbed(self, stored: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
        """Leads [leads, samples] with an artefact, or as they are.

        Which, is up to the device and the length: both people of a splice have the same one.
        """
        rng = np.random.default_rng([int(self.gain * 1e6), stored.shape[1]])
        if rng.random() >= self.artefacts:
            return stored
        signal = stored.astype(np.float64)
        made = artefact(signal.shape[1], fs, rng)
        heights = np.array([[height_of(lead - np.median(lead))] for lead in signal])
        signal += made * heights * rng.uniform(0.4, 1.0, (len(signal), 1))
        return (np.round(signal / self.step) * self.step).astype(np.float32)
