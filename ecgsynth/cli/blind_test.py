"""``ecgsynth blind-test``: a sheet of real and synthetic strips for people who read ECGs, and its score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ecgsynth.cli.console import guarded
from ecgsynth.rhythms import RHYTHMS, find_rhythm

FOLDER = click.Path(path_type=Path)


@click.group(name="blind-test", invoke_without_command=True)
@click.option("--real", type=FOLDER, multiple=True, help="Folder of real recordings; repeatable.")
@click.option("--synthetic", type=FOLDER, multiple=True, help="Folder of synthetic records; repeatable.")
@click.option(
    "--generator",
    type=click.Choice(["cvae", "cgan", "parametric"]),
    default=None,
    help="Draw the synthetic strips instead of reading a folder.",
)
@click.option("--weights", type=FOLDER, default=None, help="A checkpoint of your own for --generator.")
@click.option("--rhythms", default="nsr,afib,aflutter,vt,bigeminy,paced", show_default=True)
@click.option("--n", type=click.IntRange(min=1), default=50, show_default=True, help="Strips of each side.")
@click.option(
    "--per-person",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Most strips of one person.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=FOLDER, default=None, help="Folder for the raters.")
@click.option("--key", type=FOLDER, default=None, help="File of the key.  [default: OUT-key.json]")
@click.option("--overwrite", is_flag=True, help="Replace OUT and the key.")
@click.option("--allow-few-people", is_flag=True, help="Draw rhythms learned from fewer than 6 people.")
@click.pass_context
def blind_test(ctx: click.Context, rhythms: str, **options: Any) -> None:
    """Make a blind sheet: real strips among as many synthetic ones, to ask people who read ECGs.

    OUT gets sheet.pdf (ECG paper, numbered, boxes for the answers) and answers.csv, a form to fill in. The
    key lies beside it and is not for the raters. Both sides have the same rhythms, leads, band and scale.
    The sheet shows recordings of people: do not publish it. "score" says how the raters did.

    \b
    Examples:
      ecgsynth blind-test --real mitdb --real cinc2017 --generator cvae --rhythms nsr,afib,vt --out blind
      ecgsynth blind-test --real clinic --synthetic af --rhythms afib --n 20 --out blind
      ecgsynth blind-test score anna.csv ben.csv --key blind-key.json
    """
    if ctx.invoked_subcommand is not None:
        return
    for name in ("real", "out"):
        if not options[name]:
            raise click.UsageError(f"Missing option '--{name}'.", ctx)
    from ecgsynth.blind.sheet import SheetOptions, make_sheet

    names = tuple(dict.fromkeys(find_rhythm(part).name for part in rhythms.split(",") if part.strip()))
    with guarded(options["out"]):
        made = make_sheet(SheetOptions(rhythms=names, **options))
    lines = [f"Wrote sheet {made.name}: {made.strips} strips, the real ones of {made.people} people."]
    if made.unreadable:
        lines.append(f"{made.unreadable} records could not be read and were passed over.")
    lines += [
        f"For the raters: {made.out / 'sheet.pdf'} and {made.out / 'answers.csv'} (shows people: do not "
        "publish)",
        f"Keep back:      {made.key}",
        f"Then:           ecgsynth blind-test score ANSWERS.csv --key {made.key}",
    ]
    click.echo("\n".join(lines))


@blind_test.command()
@click.argument("answers", type=FOLDER, nargs=-1, required=True)
@click.option("--key", type=FOLDER, required=True, help="The key of the sheet.")
@click.option("--partial", is_flag=True, help="Score forms with strips that were not answered.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the resampling.")
def score(answers: tuple[Path, ...], key: Path, partial: bool, as_json: bool, seed: int) -> None:
    """Score filled forms, one file per rater: how often synthetic and real strips were told.

    \b
    Example:
      ecgsynth blind-test score anna.csv ben.csv --key blind-key.json
    """
    from ecgsynth.blind.answers import read_answers
    from ecgsynth.blind.scoring import score_answers
    from ecgsynth.blind.sheet import read_key

    known = read_key(key)
    found = score_answers([read_answers(path, known, partial) for path in answers], known, seed)
    click.echo(json.dumps(found, indent=1, sort_keys=True) if as_json else _words(found))


def _words(found: dict[str, Any]) -> str:
    lines = [f"Sheet {found['sheet']}; 50 % is guessing, intervals are 95 % (exact; by person)."]
    for name, own in found["raters"].items():
        lines += ["", f"{name}: {own['answered']} of {own['strips']} strips answered"]
        lines += [
            f"  {what:<12}{_rate(own['all'][what])}" for what in ("accuracy", "sensitivity", "specificity")
        ]
        lines.append(f"  p if guessed {own['all']['guessing_p']:.2g}")
        for rhythm, rates in own["rhythms"].items():
            lines.append(f"  {RHYTHMS[rhythm].title}: {_rate(rates['accuracy'])}")
        if "confidence" in own:
            sure = own["confidence"]
            lines.append(
                f"  Confidence {sure['mean_confidence']:.0%} where {sure['accuracy']:.0%} were right; Brier "
                f"score {sure['brier']:.3f} (0.25: always unsure)"
            )
    pairs = found["agreement"]["pairs"]
    lines += [""] * bool(pairs)
    lines += [f"Cohen's kappa of {pair}: {_kappa(own['cohen_kappa'])}" for pair, own in pairs.items()]
    if "fleiss" in found["agreement"]:
        lines.append(f"Fleiss' kappa of all: {_kappa(found['agreement']['fleiss']['fleiss_kappa'])}")
    return "\n".join(lines)


def _rate(rate: dict[str, Any]) -> str:
    if not rate["n"]:
        return "no answers"
    text = f"{rate['value']:.0%} ({rate['hits']} of {rate['n']}; {rate['low']:.0%}-{rate['high']:.0%}"
    people = rate["people"]
    return text + (f"; {people[0]:.0%}-{people[1]:.0%})" if people else ")")


def _kappa(value: float | None) -> str:
    return "undefined (all answers the same)" if value is None else f"{value:.2f}"
