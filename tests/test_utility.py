"""Studies of what synthetic records are worth: cells resume, people are kept apart, words are earned."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ecgsynth import load_generator
from ecgsynth.cli.benchmark import benchmark
from ecgsynth.errors import OptionError, OutputError, RecordError, ResourceError
from ecgsynth.split import SplitManifest
from ecgsynth.utility import run as running
from ecgsynth.utility.arms import ARMS
from ecgsynth.utility.cells import Cell, chosen_people, first_cells, part_rows, read_cell, second_cells
from ecgsynth.utility.energy import energy_of
from ecgsynth.utility.metrics import (
    Difference,
    Labelled,
    auprc,
    auprc_draws,
    difference,
    f1_threshold,
    holm,
    numbers,
    people_weights,
    words,
)
from ecgsynth.utility.run import UtilityOptions, run_study
from ecgsynth.utility.strips import Strips, read_strips
from ecgsynth.utility.study import SHIPPED, Cohort, Study, load_study
from ecgsynth.utility.synthetic import places_of
from ecgsynth.utility.training import Pool, batch

SPLIT = SplitManifest(train=("a",), val=("b",), test=("c",), seed=0, fractions=(0.6, 0.2, 0.2))


def small_study(**changes: object) -> Study:
    study = Study(
        name="small",
        title="Small",
        positive=("afib",),
        negative=("nsr",),
        sources=("folder",),
        leads=("II",),
        tests={"others": Cohort(sources=("folder",), negative=("nsr",))},
        people=(2,),
        arms=("oversampling", "classical", "synthetic", "synthetic-only", "shuffled", "smote", "everyone"),
        generators=("parametric", "cvae"),
        ratios=(1.0,),
        seeds=3,
        sweep_seeds=2,
        pools=1,
        pool=8,
        steps=10,
        batch=4,
        width=16,
        seconds=5.0,
        fs=100.0,
        robustness=True,
    )
    return replace(study, **changes)


def people(study: Study, each: int = 4) -> Strips:
    """Strips of people who are in the simulator's image, `each` of both classes in every part."""
    columns: dict[str, list[object]] = {"signal": [], "rhythm": [], "subject": [], "part": []}
    for rhythm in ("afib", "nsr"):
        records = load_generator("parametric").sample(
            rhythm=rhythm, n=3 * each, seed=9, seconds=5.0, fs=100.0
        )
        for i, record in enumerate(records):
            columns["signal"].append(record.signal)
            columns["rhythm"].append(rhythm)
            columns["subject"].append(f"folder/{rhythm}{i}")
            columns["part"].append(("train", "val", "test")[i % 3])
    n = len(columns["rhythm"])
    text = {name: np.array(columns[name]) for name in ("rhythm", "subject", "part")}
    return Strips(
        signal=np.stack(columns["signal"]).astype(np.float32),
        source=np.full(n, "folder"),
        lead=np.full(n, "II"),
        age=np.full(n, 60.0, np.float32),
        sex=np.zeros(n, np.int8),
        **text,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was interrupted once and then went on."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "read_strips", lambda study, data, split: people(study))
        patch.setattr(running, "_about", lambda study, split: {"study": {"name": study.name}})
        (folder / "split.json").write_text(SPLIT.to_json())
        study = small_study()
        options = UtilityOptions(
            study=study, data=folder, split=folder / "split.json", out=folder / "out", workers=1
        )
        seen: list[str] = []

        def stop(done: int, total: int | None, note: str) -> None:
            seen.append(note)
            if done == 7:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_study(options, stop)
        before = {p.name: p.stat().st_mtime_ns for p in (folder / "out" / "cells").glob("*.json")}
        with pytest.raises(OutputError, match="--resume"):
            run_study(options)
        run_study(replace(options, resume=True), lambda done, total, note: seen.append(note))
        after = {p.name: p.stat().st_mtime_ns for p in (folder / "out" / "cells").glob("*.json")}
        assert {name: after[name] for name in before} == before
        assert len(seen) == len(set(seen))
    return folder / "out"


def test_a_study_goes_on_where_it_stopped_and_writes_everything(finished: Path) -> None:
    results = json.loads((finished / "utility.json").read_text())
    rows = {(r["arm"], r["generator"], r["people"]) for r in results["rows"]}
    assert ("synthetic", "cvae", 2) in rows and ("everyone", "", 0) in rows
    assert all(0 <= r["low"] <= r["auprc"] + 1e-9 and r["high"] <= 1 for r in results["rows"])
    assert {r["trouble"] for r in results["robustness"]} >= {"white noise 10 dB", "wander 2 mV"}
    # 60 Hz at a rate of 100 Hz would be at 40 Hz: it is left out, not aliased.
    assert not any("mains" in r["trouble"] for r in results["robustness"])
    assert (finished / "utility.png").read_bytes()[:4] == b"\x89PNG"
    assert "parametric" in (finished / "utility.md").read_text()


def test_no_result_depends_on_the_clock(finished: Path) -> None:
    cells = [json.loads(path.read_text()) for path in sorted((finished / "cells").glob("oversampling*.json"))]
    # Robustness is a matter of the seeds of the sweep, two of three.
    assert [set(cell) - {"cell", "scores"} for cell in cells] == [{"robustness"}, {"robustness"}, set()]


def test_few_people_are_never_called_better(finished: Path) -> None:
    results = json.loads((finished / "utility.json").read_text())
    assert results["comparisons"]
    for line in results["comparisons"]:
        if line["words"] == "better":
            assert line["mean"] >= line["smallest"] and line["low"] > 0


def test_a_person_on_both_sides_is_an_error() -> None:
    study, strips = small_study(), people(small_study())
    subject = strips.subject.copy()
    subject[np.flatnonzero(strips.part == "test")[0]] = subject[np.flatnonzero(strips.part == "train")[0]]
    with pytest.raises(RecordError, match="both"):
        part_rows(study, replace(strips, subject=subject))


def test_a_part_without_the_rhythm_is_an_error() -> None:
    strips = people(small_study())
    kept = ~((strips.part == "test") & (strips.rhythm == "afib"))
    with pytest.raises(RecordError, match="nobody with afib in others"):
        part_rows(small_study(), strips.take(kept))


def test_more_people_than_there_are_is_an_error_and_fewer_are_among_more() -> None:
    names = np.array(["p1", "p2", "p3", "p3"])
    with pytest.raises(RecordError, match="there are 3"):
        chosen_people(names, 4, 0)
    assert set(chosen_people(names, 1, 5)) < set(chosen_people(names, 2, 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratios": (-1.0,)}, "ratio"),
        ({"ratios": (float("nan"),)}, "ratio"),
        ({"ratios": (400.0,)}, "ratio"),
        ({"arms": ("magic",)}, "unknown arms magic"),
        ({"positive": ("nsr",)}, "both positive and negative"),
        ({"seeds": 0}, "positive"),
        ({"sources": ("nodb",)}, "unknown sources nodb"),
    ],
)
def test_a_study_that_cannot_be_met_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        small_study(**change)


def test_studies_from_files(tmp_path: Path) -> None:
    for name in SHIPPED:
        assert load_study(name).name == name
    path = tmp_path / "study.toml"
    path.write_text('name = "x"\ntitel = "typo"\n')
    with pytest.raises(OptionError, match="unknown titel"):
        load_study(str(path))
    path.write_text("name = ")
    with pytest.raises(OptionError, match="TOML"):
        load_study(str(path))
    with pytest.raises(OptionError, match="af-single"):
        load_study("nothing")


def test_synthetic_recordings_are_no_people(tmp_path: Path) -> None:
    from ecgsynth import GenerateOptions, generate_dataset

    made = GenerateOptions(rhythm="afib", records=2, out=tmp_path / "af", generator="parametric", workers=1)
    generate_dataset(made)
    with pytest.raises(RecordError, match="is synthetic"):
        read_strips(small_study(), tmp_path, SPLIT)


def test_a_missing_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no recordings of folder"):
        read_strips(small_study(), tmp_path, SPLIT)


def test_the_split_of_the_generators_is_demanded(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text(SPLIT.to_json())
    options = UtilityOptions(
        study=load_study("af-single"), data=tmp_path, split=tmp_path / "split.json", out=tmp_path / "out"
    )
    with pytest.raises(OptionError, match="was trained by"):
        run_study(options)


def test_damaged_files_of_a_study_are_named(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    cell = next(iter(first_cells(small_study())))
    (out / "cells" / f"{cell.name}.json").write_text('{"cell": ')
    with pytest.raises(RecordError, match=rf"{cell.name}.json: is damaged .* --resume runs that cell again"):
        read_cell(out / "cells", cell)
    (out / "strips.npz").write_bytes((out / "strips.npz").read_bytes()[:5000])
    with pytest.raises(RecordError, match=r"strips.npz: is damaged .* --resume cuts the strips again"):
        Strips.load(out / "strips.npz")


def test_energy_is_written_apart_where_codecarbon_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tracker:
        final_emissions_data = SimpleNamespace(
            energy_consumed=0.3, cpu_energy=0.2, ram_energy=0.1, gpu_energy=0.0
        )

        def __init__(self, **given: object) -> None:
            assert given["save_to_file"] is False and given["tracking_mode"] == "process"

        def start(self) -> None: ...

        def stop(self) -> None: ...

    monkeypatch.setitem(sys.modules, "codecarbon", SimpleNamespace(OfflineEmissionsTracker=Tracker))
    with pytest.raises(KeyboardInterrupt), energy_of(tmp_path):
        raise KeyboardInterrupt
    line = json.loads((tmp_path / "compute.jsonl").read_text())
    assert line == {"task": "run", "energy_kwh": 0.3, "cpu_kwh": 0.2, "ram_kwh": 0.1, "gpu_kwh": 0.0}
    del Tracker.final_emissions_data  # it failed, and said nothing
    with (
        pytest.warns(UserWarning, match="could not say what the study took"),
        energy_of(tmp_path / "nowhere"),
    ):
        pass
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with energy_of(tmp_path / "nowhere"):
        pass


def test_several_workers_make_the_same_cells(finished: Path, tmp_path: Path) -> None:
    study = small_study()
    (tmp_path / "cells").mkdir()
    shutil.copytree(finished / "pools", tmp_path / "pools")
    shutil.copyfile(finished / "strips.npz", tmp_path / "strips.npz")
    options = UtilityOptions(study=study, data=tmp_path, split=tmp_path, out=tmp_path, workers=2)
    cells = list(first_cells(study))[:3]
    running._work(options, list(cells), lambda *_: None)
    for cell in cells:
        name = f"{cell.name}.json"
        assert (tmp_path / "cells" / name).read_bytes() == (finished / "cells" / name).read_bytes()


def test_a_worker_that_dies_is_named(finished: Path, tmp_path: Path) -> None:
    study = small_study()
    (tmp_path / "cells").mkdir()
    shutil.copyfile(finished / "strips.npz", tmp_path / "strips.npz")
    options = UtilityOptions(study=study, data=tmp_path, split=tmp_path, out=tmp_path, workers=2)
    with pytest.raises(ResourceError, match=r"benchmark utility: a worker .* --resume"):
        running._work(options, [_Fatal("x", "", 0, 0.0, seed) for seed in range(3)], lambda *_: None)


class _Fatal(Cell):
    """A cell during which the worker is killed, as for lack of memory."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _die, (os.getpid(),)


def _die(parent: int) -> None:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_study_may_grow_by_a_generator_but_not_change_its_weights(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (tmp_path / "split.json").write_text(SPLIT.to_json())
    study = small_study(arms=("oversampling", "synthetic-only"), generators=("parametric",))

    def resume(weights: dict[str, str]) -> None:
        about = {"study": {"name": "small"}, "weights": weights}
        monkeypatch.setattr(running, "_about", lambda study, split: about)
        run_study(
            UtilityOptions(
                study=study, data=tmp_path, split=tmp_path / "split.json", out=out, workers=1, resume=True
            )
        )

    resume({"cvae": "a"})
    resume({})
    resume({"cvae": "a", "cgan": "b"})
    assert json.loads((out / "study.json").read_text())["weights"] == {"cvae": "a", "cgan": "b"}
    with pytest.raises(OutputError, match="another study, split or weights"):
        resume({"cvae": "other"})


def test_cells_of_the_second_round_take_the_chosen_ratio() -> None:
    study = small_study(arms=tuple(ARMS))
    first = set(first_cells(study))
    second = set(second_cells(study, {("cvae", 2): 0.5, ("parametric", 2): 4.0}, {2: "cvae"}))
    assert not first & second
    assert {(c.generator, c.ratio) for c in second if c.arm == "classical+synthetic"} == {
        ("cvae", 0.5),
        ("parametric", 4.0),
    }
    assert {c.generator for c in second if c.arm == "shuffled"} == {"cvae"}
    # The ratio is chosen by two seeds; the third runs at the chosen one only.
    assert {c.seed for c in first if c.arm == "synthetic"} == {0, 1}
    assert {(c.generator, c.ratio) for c in second if c.arm == "synthetic"} == {
        ("cvae", 0.5),
        ("parametric", 4.0),
    }


def test_both_classes_come_from_the_same_devices() -> None:
    from ecgsynth.sampling import Sampler

    study = load_study("af-single")
    of_afib, of_nsr = (set(places_of(study, Sampler("cvae"), rhythm)) for rhythm in ("afib", "nsr"))
    assert ("cinc2017", ("I",)) in of_afib and of_afib == of_nsr
    only = places_of(replace(study, same_device=True), Sampler("cvae"), "afib")
    assert {source for source, _ in only} == {"cinc2017", "mitdb"}


def test_no_strip_is_asked_of_a_device_that_gives_the_class_away_or_never_recorded_it() -> None:
    from ecgsynth.sampling import Sampler

    study, sampler = load_study("vt-vf"), Sampler("cvae")
    # cudb holds fibrillation only, and in mitdb nobody fibrillates.
    assert "cudb" not in {source for source, _ in places_of(study, sampler, "vf")}
    assert {source for source, _ in places_of(study, sampler, "vf")} == {"vfdb"}
    assert {source for source, _ in places_of(study, sampler, "vt")} == {"vfdb", "mitdb"}
    with pytest.raises(OptionError, match="knows vt, vflutter, vf"):
        places_of(replace(study, leads=("V2",)), sampler, "vt")


def test_a_batch_holds_the_asked_share_of_synthetic_strips() -> None:
    real = Pool(np.zeros((5, 1, 4), np.float32), np.ones((3, 1, 4), np.float32), np.arange(5), np.arange(3))
    made = Pool(
        np.full((2, 1, 4), 2, np.float32), np.full((2, 1, 4), 3, np.float32), np.arange(2), np.arange(2)
    )
    wanted = np.arange(4000) % 2 == 1
    values = batch(real, made, wanted, 0.8, np.random.default_rng(0))[:, 0, 0]
    assert set(values[wanted]) == {1.0, 3.0} and set(values[~wanted]) == {0.0, 2.0}
    assert abs(np.mean(values >= 2) - 0.8) < 0.03
    only = Pool(made.negative[:0], made.positive, np.arange(0), np.arange(2))
    assert set(batch(real, only, wanted, 1.0, np.random.default_rng(0))[~wanted, 0, 0]) == {0.0}


def test_people_weigh_the_same_however_many_strips_they_have() -> None:
    truth = np.array([True] * 9 + [True, False, False])
    tested = Labelled(truth, np.array([0] * 9 + [1, 2, 3]))
    score = np.array([0.1] * 9 + [0.9, 0.5, 0.4])
    assert auprc(tested, score) == pytest.approx((1.0 + 0.5) / 2)
    found = numbers(tested, score, threshold=0.45)
    assert found["sensitivity"] == pytest.approx(0.5)
    assert found["specificity"] == pytest.approx(0.5)
    assert numbers(tested, truth.astype(float), 0.5)["ece"] == 0
    assert f1_threshold(tested, truth.astype(float)) == 1.0


def test_a_real_difference_is_found_and_none_is_not() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(200) < 100
    tested = Labelled(truth, np.arange(200))
    good = [truth + rng.normal(0, 0.5, 200) for _ in range(5)]
    poor = [truth + rng.normal(0, 1.5, 200) for _ in range(5)]
    weights = people_weights(tested, 300, 0)
    draws = [auprc_draws(tested, scores, weights) for scores in (good, poor)]
    points = [(auprc(tested, a), auprc(tested, b)) for a, b in zip(good, poor, strict=True)]
    gap = difference(draws[0], draws[1], points, 0)
    assert gap.low > 0 and gap.seeds_better == 5 and words(gap, gap.p) == "better"
    same = difference(draws[0], draws[0], [(a, a) for a, _ in points], 0)
    assert words(same, same.p) == "no difference shown"


def test_words_are_earned() -> None:
    gap = Difference(mean=0.05, low=0.01, high=0.09, p=0.01, smallest=0.06, seeds_better=5, seeds=5)
    assert words(gap, 0.01) == "higher, but less than these people can show"
    assert words(replace(gap, smallest=0.04), 0.01) == "better"
    assert words(replace(gap, smallest=0.04), 0.2) != "better"
    assert words(replace(gap, smallest=0.04, mean=-0.05, low=-0.09, high=-0.01), 0.01) == "worse"


def test_holm() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_the_command_counts_its_cells(tmp_path: Path) -> None:
    arguments = [
        "utility",
        "--config",
        "af-single",
        "--data",
        str(tmp_path),
        "--split",
        "s.json",
        "--out",
        "o",
    ]
    done = CliRunner().invoke(benchmark, [*arguments, "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "cells" in done.output
