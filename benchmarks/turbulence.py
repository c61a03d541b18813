"""Quality of synthesised fields: the main job's samples beside the Gaussian model and other real fields.

Run ``python benchmarks/turbulence.py`` for the field that comes with the package, or name a field and, after
``--reference``, other realisations of the same process (files, or one stack)::

    python benchmarks/turbulence.py field.npy --reference other1.npy other2.npy --seeds 5

Rows are statistics that are in nobody's loss unless marked with a star; columns the target, the mean and spread of
the samples over the seeds, the Gaussian model and the other real fields (the floor).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from phasewave.turbulence.fields import as_field, read_field
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.report import compare
from phasewave.turbulence.settings import SynthesisSettings
from phasewave.turbulence.synthesis import synthesize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("field", nargs="?", default=None)
    parser.add_argument("--index", type=int, default=None, help="which field of a stack")
    parser.add_argument("--log", action="store_true", help="take the logarithm first")
    parser.add_argument("--reference", nargs="*", default=[])
    parser.add_argument("--moments", choices=("circular", "pywph"), default="circular")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=SynthesisSettings().tolerance)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--figure", type=Path, default=None, help="keep the figure of the samples here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    values = read_field(options.field, index=options.index).values
    field = as_field(values.log() if options.log else values)
    reference = [read_field(path).values for path in options.reference]
    settings = SynthesisSettings(moments=options.moments, tolerance=options.tolerance)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outcome = synthesize(field, n_samples=options.seeds, seed=0, out=Path(folder) / "run", settings=settings)
        if options.figure is not None:
            options.figure.write_bytes((outcome.folder / "figure.png").read_bytes())
    seconds = time.perf_counter() - start
    report = compare(
        outcome.samples,
        field.values,
        gaussian=GaussianModel(field.values).sample(4, seed=0),
        reference=torch.stack(reference) if reference else None,
        in_loss=settings.in_loss(),
    )
    evaluations = ", ".join(map(str, outcome.n_evaluations))
    losses = ", ".join(f"{loss:.1e}" for loss in outcome.losses.tolist())
    print(f"{options.seeds} seeds, evaluations {evaluations}, losses {losses}, {seconds:.0f} s in all\n")
    print("| statistic | target | samples | Gaussian model | other real fields |")
    print("|---|---|---|---|---|")
    for name, definition in report["definitions"].items():
        columns = [f"{report['target'][name]:.3g}" if name in report["target"] else ""]
        for part in ("samples", "gaussian", "reference"):
            values_of = (report.get(part) or {}).get(name, {}).get("values", [])
            columns.append(_mean_and_spread([value for value in values_of if value is not None]))
        print(f"| {name}{' *' if definition['in_loss'] else ''} | {' | '.join(columns)} |")


def _mean_and_spread(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3g}{spread}"


if __name__ == "__main__":
    main()
