"""``ecgsynth train`` as a function: a user's own recordings, starting from the shipped weights."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.batches import Strips, load_strips
from ecgsynth.checkpoint import file_sha256, load_checkpoint, save_checkpoint, shipped_weights
from ecgsynth.datasets.folder import read_folder
from ecgsynth.errors import CheckpointError, OptionError, OutputError, TooFewPeopleError
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.pack import pack
from ecgsynth.population import FEWEST_PEOPLE
from ecgsynth.privacy.copy_build import build_index, pack_strips
from ecgsynth.privacy.copy_file import load_index, save_index
from ecgsynth.privacy.copy_gate import index_beside
from ecgsynth.records import Episode, Record
from ecgsynth.rhythms import find_rhythm
from ecgsynth.staging import only_writer
from ecgsynth.training.adapting import adapt_to_folder
from ecgsynth.training.describe import describe_people, private_description
from ecgsynth.training.holding import hold_out
from ecgsynth.training.keeping import LAST, check_note
from ecgsynth.training.noise import fit_noise
from ecgsynth.training.options import TrainOptions, TrainResult
from ecgsynth.training.prior import fit_prior
from ecgsynth.training.private import Budget, check_budget, train_private
from ecgsynth.training.private_statement import statement
from ecgsynth.training.run import Progress, RunOptions, run
from ecgsynth.training.sources import measured_wander, with_sources
from ecgsynth.training.tasks import CGANTask, CVAETask, Schedule
from ecgsynth.training.trim import fit_trim

_PRIOR_STEPS, _NOISE_STEPS = 600, 300


def train_on_folder(options: TrainOptions, progress: Progress | None = None) -> TrainResult:
    """Fine-tune a generator on a folder and write its checkpoint once it is complete.

    Raises
    ------
    RecordError
        If a recording is damaged, or none gives a usable window of ten seconds.
    TooFewPeopleError
        If a rhythm is shown by fewer than six people, unless allowed.
    CheckpointError
        If the weights to start from cannot be used, or there is nothing to resume.
    OutputError
        If the checkpoint cannot be written.
    """
    team = options.team()
    if options.adapt and (options.dp_epsilon is not None or options.resume):
        raise OptionError("--adapt: goes with neither --dp-epsilon nor --resume; leave that out.")
    if options.dp_epsilon is not None:
        check_budget(options.dp_epsilon, options.dp_delta, options.generator, options.resume)
    if team.many and (options.adapt or options.dp_epsilon is not None):
        name = "--adapt" if options.adapt else "--dp-epsilon"
        raise OptionError(f"{name}: is for one process; leave out --strategy, --devices, --num-nodes.")
    if team.follower:
        return _train_and_save(options, progress)
    _check_target(options)
    with only_writer(options.out):
        return _train_and_save(options, progress)


def _train_and_save(options: TrainOptions, progress: Progress | None) -> TrainResult:
    start = options.from_weights or shipped_weights(options.generator)
    net, metadata = load_checkpoint(start)
    if metadata["generator"] != options.generator:
        raise CheckpointError(
            f"{start}: holds a {metadata['generator']}, not a {options.generator}; change --generator."
        )
    twelve = len(net.config.outputs) > 1
    arrays = pack(_records(options), leads="twelve" if twelve else "single")
    people = {str(subject) for subject in arrays["subject"]}
    description = describe_people(arrays, people)
    _check_people(description["population"], options)
    fresh = sorted({str(name) for name in arrays["source"]} - set(net.config.sources))
    net = with_sources(net, fresh)
    if options.adapt:
        steps, said = adapt_to_folder(net, metadata, arrays, fresh, options, start, progress)
        return TrainResult(options.out, len(people), steps, said, index_beside(options.out))
    if options.dp_epsilon is not None:
        return _privately(net, metadata, arrays, options, start, progress)
    net.wander_power.copy_(torch.from_numpy(measured_wander(net, arrays)))
    learned, held = hold_out(arrays, options.seed)
    strips = load_strips(arrays, net.config, learned)
    validation = load_strips(arrays, net.config, held) if held else None
    task = _train(net, strips, validation, options, start, arrays, progress)
    if options.team().follower:
        return TrainResult(options.out, len(people), int(task.seen), "helped", None, helped=True)
    final = task.mean_net.eval()
    prior = fit_prior(final, strips, validation or strips, seed=options.seed, steps=_PRIOR_STEPS, fresh=False)
    steps = int(task.seen)
    fit_noise(final, strips, seed=options.seed, steps=min(_NOISE_STEPS, options.steps))
    fit_trim(final, strips, seed=options.seed)
    notes = {
        "seed": options.seed,
        "steps": steps,
        "batch_size": options.batch_size,
        "lr": options.lr,
        "started_from": file_sha256(start),
        "people_held_out": len(held),
        "prior": prior,
    }
    # First, so that weights are never there without it.
    save_index(build_index(pack_strips(arrays), {}, like=load_index()), index_beside(options.out))
    save_checkpoint(options.out, final, {"generator": options.generator, "training": notes, **description})
    return TrainResult(
        options.out, len(people), steps, _why(steps, options, validation), index_beside(options.out)
    )


def _privately(
    net: StripNet,
    metadata: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    options: TrainOptions,
    start: Path,
    progress: Progress | None,
) -> TrainResult:
    """A checkpoint that says of these people what the bound covers: no counts, no ages, no index."""
    description = private_description(metadata, arrays)
    budget = Budget(
        options.dp_epsilon or 0.0, options.dp_delta, options.steps, options.batch_size, options.lr
    )
    said = train_private(net, arrays, budget, progress)
    notes = {"steps": options.steps, "lr": options.lr, "started_from": file_sha256(start), "dp": said}
    save_checkpoint(options.out, net, {"generator": options.generator, "training": notes, **description})
    card = options.out.with_suffix(".privacy.md")
    card.write_text(statement(said), encoding="utf-8", newline="\n")
    spent = f"epsilon {said['epsilon']:g} at delta {said['delta']:g} spent"
    return TrainResult(options.out, said["people"], options.steps, spent, None)


def _train(
    net: StripNet,
    strips: Strips,
    validation: Strips | None,
    options: TrainOptions,
    start: Path,
    arrays: dict[str, NDArray[Any]],
    progress: Progress | None,
) -> CVAETask | CGANTask:
    # The posteriors start where the shipped training left them: no need to let the latents fill first.
    schedule = Schedule(steps=options.steps, lr=options.lr, kl_start=0, kl_ramp=1)
    task = (CVAETask if options.generator == "cvae" else CGANTask)(net, schedule)
    folder = options.out.with_name(options.out.name + ".training")
    if not options.team().follower:
        _check_same_training(folder, options, start, arrays)
    run_options = RunOptions(
        folder=folder,
        seed=options.seed,
        batch_size=options.batch_size,
        epoch=min(100, options.steps),
        patience=options.patience,
        log=options.log,
        resume=options.resume,
        max_minutes=options.max_minutes,
        team=options.team(),
    )
    run(task, strips, validation, run_options, progress)
    return task


def _records(options: TrainOptions) -> Iterator[Record]:
    given = find_rhythm(options.rhythm).name if options.rhythm else None
    for record in read_folder(options.data, options.labels):
        named = any(episode.rhythm for episode in record.episodes)
        if not named and given is None:
            continue
        whole = (Episode(0, record.n_samples, given),)
        yield record if named else dataclasses.replace(record, episodes=whole)


def _check_people(population: dict[str, Any], options: TrainOptions) -> None:
    for rhythm, seen in population.items():
        if seen["people"] < FEWEST_PEOPLE and not options.allow_few_people:
            raise TooFewPeopleError(
                f"{options.data}: {rhythm} is shown by {seen['people']} "
                f"{'person' if seen['people'] == 1 else 'people'}; {FEWEST_PEOPLE} are needed, or what is "
                "generated is their fingerprint. Give subjects in --labels, add recordings, or pass "
                "--allow-few-people."
            )


def _check_target(options: TrainOptions) -> None:
    if options.out.suffix != ".safetensors":
        raise OptionError(f"--out {options.out}: a checkpoint is a .safetensors file; name it so.")
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        probe = options.out.with_name(options.out.name + ".partial")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{options.out}: cannot be written ({error.strerror}); choose another --out."
        ) from error


def _check_same_training(
    folder: Path, options: TrainOptions, start: Path, arrays: dict[str, NDArray[Any]]
) -> None:
    """A training may only be resumed with the data and options it was begun with."""
    content = hashlib.sha256()
    for key in ("signal", "rhythm", "subject"):
        content.update(np.ascontiguousarray(arrays[key]).tobytes())
    now = {
        "data": content.hexdigest(),
        "start": file_sha256(start),
        **{key: getattr(options, key) for key in ("generator", "steps", "batch_size", "lr", "seed")},
        **({"processes": options.team().size} if options.team().many else {}),
    }
    if not options.resume and (folder / LAST).is_file() and not options.out.exists():
        raise CheckpointError(
            f"{folder}: holds a training that was interrupted; go on with --resume, or remove the folder to "
            "start afresh."
        )
    check_note(folder / "training.json", now, options.resume)


def _why(steps: int, options: TrainOptions, validation: Strips | None) -> str:
    if steps >= options.steps:
        return "all steps done"
    early = validation is not None and options.generator == "cvae" and options.max_minutes is None
    return "stopped when it got no better on people held out" if early else "stopped after --max-minutes"
