"""Write the card of each shipped checkpoint from its metadata and the realism benchmark's JSON.

python scripts/write_model_cards.py --realism docs/results/realism.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ecgsynth.checkpoint import file_sha256, read_metadata
from ecgsynth.population import fewest_people
from ecgsynth.rhythms import RHYTHMS

WEIGHTS = Path(__file__).parent.parent / "ecgsynth" / "weights"
DATABASES = {
    "mitdb": "MIT-BIH Arrhythmia Database, ODC-By 1.0. Moody GB, Mark RG. IEEE Eng Med Biol 20(3):45-50, 2001.",
    "vfdb": "MIT-BIH Malignant Ventricular Ectopy Database (excerpts), ODC-By 1.0. Greenwald SD. MS thesis, "
    "MIT, 1986.",
    "cudb": "CU Ventricular Tachyarrhythmia Database (episodes), ODC-By 1.0. Nolle FM et al. Comput Cardiol "
    "13:515-518, 1986. Gains assumed: shape is learned, not amplitude.",
    "cinc2017": "PhysioNet/CinC Challenge 2017 (subset), ODC-By 1.0. Clifford GD et al. Comput Cardiol 44, "
    "2017.",
    "ptbxl": "PTB-XL (ecg_id 1-500), CC BY 4.0. Wagner P et al. Scientific Data 7:154, 2020.",
    "chapman": "Chapman-Shaoxing (19 records), CC BY 4.0. Zheng J et al. Scientific Data 7:48, 2020; Perez Alday "
    "EA et al. Physiol Meas 41(12):124003, 2021.",
    "ningbo": "Ningbo (66 records), CC BY 4.0. Zheng J et al. Scientific Reports 10, 2020; Reyna MA et al. Comput "
    "Cardiol 48, 2021.",
}
KINDS = {"cvae": "variational autoencoder", "cgan": "adversarial network"}
PHYSIONET = (
    "Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23):e215-e220, 2000."
)


@click.command()
@click.option("--realism", type=click.Path(exists=True, path_type=Path), default=None)
def main(realism: Path | None) -> None:
    """Write one card beside each checkpoint."""
    scores = json.loads(realism.read_text()) if realism else []
    for path in sorted(p for kind in KINDS for p in WEIGHTS.glob(f"{kind}-*.safetensors")):
        card = path.with_suffix(".md")
        card.write_text(model_card(path, scores))
        click.echo(card.name)


def model_card(path: Path, scores: list[dict[str, Any]]) -> str:
    """The card of one checkpoint as Markdown."""
    metadata = read_metadata(path)
    config, training, kind = metadata["config"], metadata["training"], metadata["generator"]
    twelve = len(config["outputs"]) > 1
    leads = (
        "the 8 independent leads at once; III, aVR, aVL and aVF follow from I and II"
        if twelve
        else (
            "one lead at a time: "
            + ", ".join(config["leads"])
            + " (`ECG` is a lead whose place its database does not say)"
        )
    )
    lines = [
        f"# {path.stem}",
        "",
        f"Conditional {KINDS[kind]} of ECG strips at 250 Hz, {leads}.",
        "",
        f"- File: {path.name}, {path.stat().st_size / 1e6:.1f} MB, SHA-256 {file_sha256(path)}",
        f"- Training: {training['steps']} steps of {training['batch_size']} strips of 5.12 s, seed {training['seed']}, "
        f"peak learning rate {training['lr']:g}, on the CPU; `scripts/train_weights.py`",
        f"- People: those of the split {training['pack'][:12]}, parts train and val; its part test was not read",
        "",
        "## Who is behind each rhythm",
        "",
        "| rhythm | people | seconds of recording | offered |",
        "|---|---:|---:|---|",
        *(
            people_row(name, seen, fewest_people(twelve))
            for name, seen in sorted(metadata["population"].items())
        ),
        "",
        fingerprints(metadata),
        "",
        "## Data and licences",
        "",
        *(f"- {DATABASES[source]}" for source in config["sources"]),
        "",
        f"All through PhysioNet: {PHYSIONET}",
        "",
        *score_lines(kind, scores, twelve),
        "## Limits",
        "",
        "- For research on algorithms. Not for diagnosis, and not a measure of any patient.",
        "- A record resembles the people above. What an audit found is in `docs/privacy-of-shipped-weights.md`; do "
        "not take a record for free of personal data.",
        "- Waveforms end at 125 Hz; most PTB-XL recordings behind it end at 50 Hz.",
        "- Beats of 12-lead and handheld sources were found by a detector, and ectopic beats there count as normal.",
        *(_TWELVE_LIMITS if twelve else ()),
        "",
    ]
    return "\n".join(lines)


#: What is not learned in twelve leads, as too few people show it.
_TWELVE_LIMITS = (
    "- Fibrillation and flutter waves have the parametric simulator's shapes, with measured sizes and directions, and the "
    "people in these rhythms are drawn from those in sinus rhythms (`ecgsynth/generators/atrial_waves.py`): those who had them were too few to learn from.",
)


def people_row(name: str, seen: dict[str, int], fewest: int) -> str:
    offered = "yes" if seen["people"] >= fewest else "only with `--allow-few-people`"
    return f"| {RHYTHMS[name].title} (`{name}`) | {seen['people']} | {seen['seconds']} | {offered} |"


def fingerprints(metadata: dict[str, Any]) -> str:
    """Whose fingerprint a rhythm of few people is, by database and lead."""
    fewest = fewest_people(len(metadata["config"]["outputs"]) > 1)
    few = {n for n, seen in metadata["population"].items() if seen["people"] < fewest}
    if not few:
        return f"No rhythm rests on fewer than {fewest} people."
    said = []
    for name in sorted(few):
        places = sorted({row[1] for row in metadata["spread"] if row[0] == name})
        n = metadata["population"][name]["people"]
        said.append(f"{name} ({n} {'person' if n == 1 else 'people'} of {', '.join(places)})")
    return f"Rhythms of fewer than {fewest} people are those people's fingerprint: " + "; ".join(said) + "."


def score_lines(kind: str, scores: list[dict[str, Any]], twelve: bool) -> list[str]:
    """AUC of the two-sample tests of single leads; twelve leads have not been tested so."""
    if twelve or not scores:
        return ["## Scores", "", "Not scored by the two-sample benchmark, which judges single leads.", ""]
    lines = [
        "## Scores",
        "",
        "Area under the curve of a classifier that tells strips from real ones, people held out of the classifier "
        "(`benchmarks/realism.py`); 0.5 is indistinguishable. Real against real and the parametric simulator beside "
        "it.",
        "",
        "| rhythm | people | judge | this | parametric | real against real |",
        "|---|---|---|---|---|---|",
    ]
    for row in scores:
        for judge in row["tests"]["real"]:
            cells = [_cell(row["tests"].get(side, {}), judge) for side in (kind, "parametric", "real")]
            lines.append(
                f"| {row['rhythm']} | {row['people']} ({row['which']}) | {judge} | {' | '.join(cells)} |"
            )
    return [*lines, ""]


def _cell(tests: dict[str, Any], judge: str) -> str:
    if judge not in tests:
        return "-"
    found = tests[judge]
    return f"{found['auc']:.2f} ({found['low']:.2f}-{found['high']:.2f})"


if __name__ == "__main__":
    main()
