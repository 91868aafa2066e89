"""Generators: each renders plans of the rhythm process to signals. One line in the table adds one."""

from __future__ import annotations

#: Class of each generator, resolved when it is used.
GENERATORS = {
    "cvae": "ecgsynth.generators.cvae:CVAE",
    "cgan": "ecgsynth.generators.cgan:CGAN",
    "parametric": "ecgsynth.generators.parametric:Parametric",
}
