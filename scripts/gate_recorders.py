"""The same strip as another recorder would have stored it: the gate must not take a device for a fault."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

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

    ``fs``, ``high_pass`` and ``low_pass`` in Hz, ``step`` in mV, ``gain`` times mV.
    """

    fs: float | None
    high_pass: float | None
    low_pass: float | None
    step: float
    gain: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Recorder:
        """One at random."""
        fs, high, low = (
            float(rng.choice(values)) if rng.random() < OFTEN else None
            for values in (RATES, HIGH_PASS, LOW_PASS)
        )
        gain = float(np.exp(rng.uniform(*np.log(GAINS))))
        return cls(fs, high, low, float(rng.choice(STEPS)), gain)

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
        stored = np.round(signal / self.step) * self.step
        return replace(moved, signal=stored.astype(np.float32))
