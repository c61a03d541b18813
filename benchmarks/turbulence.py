"""Quality of synthesised fields: the main job's samples beside the Gaussian model and other real fields.

Run ``python benchmarks/turbulence.py`` for the field that comes with the package, or name a field and, after
``--reference``, other realisations of the same process (files, or stacks)::

    python benchmarks/turbulence.py field.npy --reference other1.npy other2.npy --seeds 5 --two-sample weak strong

Rows are statistics that are in nobody's loss unless marked with a star; columns the target, the mean and spread of
the samples over the seeds, the Gaussian model and the other real fields (the floor). ``--out`` keeps the run; one
that is there and done is measured again without a new synthesis.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import torch

from phasewave.runs.record import read_json
from phasewave.turbulence.fields import Field, as_field, read_field
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.report import compare
from phasewave.turbulence.settings import MomentChoice, SynthesisSettings
from phasewave.turbulence.stacks import read_stack
from phasewave.turbulence.synthesis import synthesize

PARTS = ("samples", "gaussian", "reference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("field", nargs="?", default=None)
    parser.add_argument("--index", type=int, default=None, help="which field of a stack")
    parser.add_argument("--log", action="store_true", help="take the logarithm first")
    parser.add_argument("--reference", nargs="*", default=[])
    parser.add_argument("--moments", choices=get_args(MomentChoice), default="circular")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=SynthesisSettings().tolerance)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--two-sample", nargs="*", choices=("weak", "strong"), default=[])
    parser.add_argument("--out", type=Path, default=None, help="keep the run, with its figure, in this folder")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    values = read_field(options.field, index=options.index).values
    field = as_field(values.log() if options.log else values)
    reference = [each.values for path in options.reference for each in read_stack(path)]
    settings = SynthesisSettings(moments=options.moments, tolerance=options.tolerance)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run" if options.out is None else options.out
        synthesis, samples = _samples(run, field, settings, options.seeds)
    gaussian = GaussianModel(field.values).sample(max(4, options.seeds), seed=0)
    others = torch.stack(reference) if reference else None
    judged = {"gaussian": gaussian, "reference": others, "in_loss": settings.in_loss()}
    report = compare(samples, field.values, **judged)
    evaluations = ", ".join(map(str, synthesis["n_evaluations"]))
    losses = ", ".join(f"{loss:.1e}" for loss in synthesis["losses"])
    print(f"{len(samples)} seeds, {synthesis['n_moments']} moments, evaluations {evaluations}, losses {losses}\n")
    print("| statistic | target | samples | Gaussian model | other real fields |")
    print("|---|---|---|---|---|")
    for name, definition in report["definitions"].items():
        columns = [f"{report['target'][name]:.3g}" if name in report["target"] else ""]
        for part in PARTS:
            values_of = (report.get(part) or {}).get(name, {}).get("values", [])
            columns.append(_mean_and_spread([value for value in values_of if value is not None]))
        print(f"| {name}{' *' if definition['in_loss'] else ''} | {' | '.join(columns)} |")
    for judge in options.two_sample:
        tests = compare(samples, field.values, two_sample=judge, **judged)["two_sample"]
        columns = ["" if tests[part] is None else _accuracy(tests[part]) for part in PARTS]
        print(f"| two-sample test, {judge} | | {' | '.join(columns)} |", flush=True)


def _samples(
    run: Path, field: Field, settings: SynthesisSettings, seeds: int
) -> tuple[dict[str, Any], torch.Tensor]:
    """What a finished run in the folder holds, or else what a new one makes."""
    if (run / "metrics.json").is_file():
        stored = torch.stack([each.values for each in read_stack(run / "samples.h5")])
        return read_json(run / "metrics.json")["synthesis"], stored
    start = time.perf_counter()
    outcome = synthesize(field, n_samples=seeds, seed=0, out=run, settings=settings)
    print(f"synthesis: {time.perf_counter() - start:.0f} s")
    return outcome.metrics["synthesis"], outcome.samples


def _accuracy(test: dict[str, Any]) -> str:
    low, high = test["interval"]
    return f"{test['accuracy']:.2f} ({low:.2f} to {high:.2f})"


def _mean_and_spread(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3g}{spread}"


if __name__ == "__main__":
    main()
