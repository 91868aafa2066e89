"""What a user asks of every record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ecgsynth.errors import OptionError
from ecgsynth.records import TWELVE_LEADS
from ecgsynth.rhythms import find_rhythm

_SECONDS_RANGE = (2.0, 3600.0)
#: What a recording's noise can be asked to be: none, or that of a kind of machine.
NOISES = ("clean", "holter", "handheld", "12lead")
_SNR_RANGE_DB = (-10.0, 60.0)
#: Rhythms that come and go, and the shortest record in s that shows it.
PAROXYSMAL = ("afib", "aflutter")
_SHORTEST_TURNS_S = 30.0


@dataclass(frozen=True)
class Wish:
    """What a user asks of every record; None means "as real people have it".

    Attributes
    ----------
    rhythm : str
        A rhythm in any spelling, a script ``nsr:30,afib:60,nsr:30`` of rhythms and seconds, or ``nsr~afib``:
        atrial fibrillation or flutter that comes and goes, with episodes as long as people have them.
    seconds : float
        Duration where `rhythm` is not a script, 2 to 3600.
    fs : float
        Sampling rate in Hz, 100 to 1000.
    leads : tuple of str or None
        One lead, or the twelve standard ones.
    source : str or None
        Database whose people and device to resemble.
    heart_rate : float or None
        Beats/min.
    ectopy : float or None
        Fraction of premature ventricular beats.
    age : float or None
        Years.
    sex : {"M", "F"} or None
    noise : {"clean", "holter", "handheld", "12lead"} or None
        Noise, wander, band, resolution and gain of a kind of machine in place of the source's own, or
        ``clean``: the heart alone.
    snr : float or None
        Signal-to-noise ratio in dB to which the noise (not the heart) is scaled; -10 to 60. See
        :func:`ecgsynth.generators.recorders.snr_db`.
    seed : int
    allow_few_people : bool
        Offer rhythms learned from fewer than six people.
    """

    rhythm: str
    seconds: float = 10.0
    fs: float = 250.0
    leads: tuple[str, ...] | None = None
    source: str | None = None
    heart_rate: float | None = None
    ectopy: float | None = None
    age: float | None = None
    sex: Literal["M", "F"] | None = None
    noise: Literal["clean", "holter", "handheld", "12lead"] | None = None
    snr: float | None = None
    seed: int = 0
    allow_few_people: bool = False

    @property
    def twelve(self) -> bool:
        """Whether all twelve leads are asked for."""
        return self.leads == TWELVE_LEADS

    def script(self) -> tuple[tuple[str, float], ...]:
        """Canonical rhythm and seconds of each episode; of rhythms in turn, both with half of the time.

        Raises
        ------
        OptionError
            If a rhythm is unknown, a duration is no number, or the whole is not 2 to 3600 s long.
        """
        if self.in_turn:
            script = self._turns()
        else:
            script = tuple(self._episode(part) for part in self.rhythm.split(","))
        total = sum(seconds for _, seconds in script)
        low, high = _SECONDS_RANGE
        if not low <= total <= high:
            raise OptionError(f"--seconds: a record of {total:g} s; allowed are {low:g} to {high:g} s.")
        return script

    @property
    def in_turn(self) -> bool:
        """Whether two rhythms take turns, in each record at other times."""
        return "~" in self.rhythm

    def _turns(self) -> tuple[tuple[str, float], ...]:
        names = [find_rhythm(part).name for part in self.rhythm.split("~")]
        if len(names) != 2 or sum(name in PAROXYSMAL for name in names) != 1:
            raise OptionError(
                f"--rhythm {self.rhythm}: AF or flutter and one other rhythm can take turns, as in nsr~afib; "
                "write a script such as nsr:30,vt:10,nsr:30."
            )
        if self.seconds < _SHORTEST_TURNS_S:
            raise OptionError(
                f"--seconds {self.seconds:g}: {self.rhythm} needs {_SHORTEST_TURNS_S:g} to 3600 s."
            )
        return tuple((name, self.seconds / 2) for name in names)

    def said(self) -> str:
        """Rhythms and seconds in words."""
        if self.in_turn:
            return f"{' and '.join(name for name, _ in self.script())} in turn, {self.seconds:g} s"
        return ", ".join(f"{name} {seconds:g} s" for name, seconds in self.script())

    def check_noise(self) -> None:
        """Refuse noise that cannot be made.

        Raises
        ------
        OptionError
            If `noise` is unknown, `snr` is out of range, or a ratio to no noise is asked for.
        """
        low, high = _SNR_RANGE_DB
        if self.noise is not None and self.noise not in NOISES:
            raise OptionError(f"--noise {self.noise}: no such recorder; choose from {', '.join(NOISES)}.")
        if self.snr is not None and not low <= self.snr <= high:
            raise OptionError(f"--snr: {self.snr:g} dB; allowed are {low:g} to {high:g} dB.")
        if self.snr is not None and self.noise == "clean":
            raise OptionError("--snr: a clean recording has no noise to scale; leave out one of the two.")

    def _episode(self, part: str) -> tuple[str, float]:
        name, colon, length = part.strip().rpartition(":")
        if not colon:
            if "," in self.rhythm:
                raise OptionError(f"--rhythm: {part!r} in a script has no seconds; write {part.strip()}:30.")
            return find_rhythm(part).name, float(self.seconds)
        try:
            seconds = float(length)
        except ValueError:
            raise OptionError(
                f"--rhythm: {length!r} in {part!r} is no number of seconds, as in afib:60."
            ) from None
        if not 1 <= seconds <= _SECONDS_RANGE[1]:
            raise OptionError(f"--rhythm: {part!r} lasts {seconds:g} s; an episode is 1 to 3600 s long.")
        return find_rhythm(name).name, seconds
