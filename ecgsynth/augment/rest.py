"""What is generated besides the rhythms asked for, so that a model cannot take synthetic for the rhythm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ecgsynth.augment.strips import Census
from ecgsynth.augment.synthesis import Synthesis
from ecgsynth.errors import OptionError, TooFewPeopleError
from ecgsynth.rhythms import find_rhythm


def rest_of(
    wish: str, names: tuple[str, ...], census: Census, parts: Mapping[str, str], synthesis: Synthesis
) -> tuple[str, ...]:
    """The rhythms generated besides `names`.

    Parameters
    ----------
    wish : str
        ``none``, a rhythm, several with commas, or ``auto``: all that people in training show and that the
        generator offers, the most common first. A model that is shown normal sinus rhythm only beside a
        rare rhythm takes every other rate for it (docs/utility.md).
    names : tuple of str
        What is generated already.
    census : Census
    parts : mapping of str to str
        Everyone's part.
    synthesis : Synthesis

    Raises
    ------
    OptionError
        If a rhythm is unknown, or generated already.
    TooFewPeopleError, CheckpointError
        If one that is named cannot be generated.
    """
    if wish == "none":
        return ()
    if wish != "auto":
        named = tuple(dict.fromkeys(find_rhythm(part.strip()).name for part in wish.split(",")))
        for name in named:
            if name in names:
                raise OptionError(
                    f"--rest {name}: is generated already; choose another rhythm, auto or none."
                )
            synthesis.check(name)
        return named
    strips = {rhythm: census.of(rhythm, parts, "train")[1] for _, rhythm in census.strips}
    others = sorted(set(strips) - set(names), key=lambda r: (-strips[r], r))
    return tuple(name for name in others if strips[name] and _offered(name, synthesis))


def _offered(name: str, synthesis: Synthesis) -> bool:
    try:
        synthesis.check(name)
    except TooFewPeopleError:
        return False
    return True


def shared_out(sources: Mapping[str, int], rest: tuple[str, ...]) -> Iterator[tuple[str, str, int]]:
    """Source, rhythm and how many: each source's strips are shared evenly among the rhythms of the rest.

    What is left over goes to the rhythms in turn, from source to source.
    """
    turn = 0
    for source, count in sorted(sources.items()) if rest else ():
        each, more = divmod(count, len(rest))
        extra = {rest[(turn + i) % len(rest)] for i in range(more)}
        turn += more
        for name in rest:
            if own := each + (name in extra):
                yield source, name, own
