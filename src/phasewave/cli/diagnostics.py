"""The commands ``phasewave diagnose``: representations and networks measured and drawn."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import torch
import typer

from phasewave.cli.diagnostic_runs import (
    Cell,
    EpochsOption,
    LimitOption,
    TestedOption,
    TrainedOption,
    classes_of,
    diagnostic_run,
    open_images,
    tested_images,
    trained_epochs,
    with_trained_cnn,
)
from phasewave.cli.image_options import (
    ColorOption,
    DeviceOption,
    OptionalImagesArgument,
    OverwriteOption,
    SeedOption,
    SizeOption,
    SkipOption,
    ThreadsOption,
)
from phasewave.diagnostics.collapse_study import collapse_study
from phasewave.diagnostics.deformation import NoiseNorm
from phasewave.diagnostics.deformation_study import deformation_study, standard_representations
from phasewave.diagnostics.figures import draw_collapse, draw_deformation
from phasewave.diagnostics.filter_study import filter_study
from phasewave.diagnostics.rotation_figure import draw_rotation
from phasewave.diagnostics.rotation_study import rotation_representations, rotation_study
from phasewave.diagnostics.scale_detection import ScaleDetection
from phasewave.diagnostics.scale_figure import draw_scales
from phasewave.diagnostics.scale_study import scale_study
from phasewave.diagnostics.spline_figures import draw_filters, draw_splines
from phasewave.diagnostics.spline_study import spline_study
from phasewave.diagnostics.support_figure import draw_support
from phasewave.diagnostics.support_study import support_study

app = typer.Typer(no_args_is_help=True, help="Diagnostics: representations and networks measured and drawn.")


@app.callback()
def _diagnose() -> None:
    """Diagnostics of representations and networks, each with a figure.

    Every command makes a folder with figure.png, metrics.json and run.json.
    """


@app.command("deformation")
def deformation_command(
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("deformation"),
    displacement: Annotated[
        float | None,
        typer.Option(help="Root mean square, in pixels; by default 1/32 of the side. 1/2, 2 and 4 times it too."),
    ] = None,
    cutoff: Annotated[int, typer.Option(min=2, help="Highest frequency of the deformations, half waves.")] = 3,
    noise: Annotated[
        NoiseNorm, typer.Option(help="Norm of the noise: that of each image's deformation, or the mean.")
    ] = "each",
    epochs: TrainedOption = None,
    images: TestedOption = 100,
    limit: LimitOption = 800,
    size: SizeOption = None,
    color: ColorOption = "keep",
    skip_corrupt: SkipOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Deform test images of DATA and measure how far representations follow: D_f, G_f and R_f.

    Identity, average pooling, a random and a trained CNN, scattering of 1 to 3 octaves. The images must be square.
    """
    found = open_images(
        data, size=size, color=color, limit=limit, skip=skip_corrupt, seed=seed, threads=threads, square=True
    )
    moved = found.size[1] / 32 if displacement is None else displacement
    trained = trained_epochs(epochs, found)
    settings = {"displacement": moved, "cutoff": cutoff, "noise": noise, "epochs": trained, "images": images}
    with diagnostic_run(out, found, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        standard = standard_representations(found.images.shape[1:], seed=seed)
        representations, metrics = with_trained_cnn(standard, found, run, epochs=trained, seed=seed)
        test = tested_images(found, images, run)
        study = deformation_study(
            representations, test, displacement=moved, cutoff=cutoff, noise=noise, seed=seed, told=run.measuring
        )
        metrics |= {"n_deformed": len(test), **study.record()}
        run.write(metrics, found)
        folded = 1 - study.stability["identity"][-1].one_to_one
        note = f"{len(test):,} test images of {found.title}; cutoff {cutoff}; of the strongest deformations "
        draw_deformation(run.figure, study, note=f"{note}{folded:.0%} fold somewhere")
        rows: list[list[Cell]] = []
        for name, ones in study.stability.items():
            one = ones[study.reference]
            rows.append([name, one.deformation, one.noise, one.relative, one.relative_median])
        run.say(f"at a displacement of {moved:.3g} pixels:")
        run.show(["representation", "D_f", "G_f", "R_f", "R_f, medians"], rows)


@app.command("rotation")
def rotation_command(
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("rotation"),
    angle: Annotated[
        float, typer.Option(min=0.1, max=45, help="In degrees. 1/4, 1/2, 2 and 4 times it too.")
    ] = 22.5,
    epochs: TrainedOption = None,
    images: TestedOption = 60,
    limit: LimitOption = 800,
    size: SizeOption = None,
    color: ColorOption = "keep",
    skip_corrupt: SkipOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Turn test images of DATA and measure how far representations follow, and whether they do so linearly.

    Those of `deformation`, and scattering averaged over its angles. Turns of the plane, within the inscribed disc,
    beside turns of the space of images in random directions.
    """
    found = open_images(data, size=size, color=color, limit=limit, skip=skip_corrupt, seed=seed, threads=threads)
    trained = trained_epochs(epochs, found)
    settings = {"angle": angle, "epochs": trained, "images": images}
    with diagnostic_run(out, found, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        standard = rotation_representations(found.images.shape[1:], seed=seed)
        representations, metrics = with_trained_cnn(standard, found, run, epochs=trained, seed=seed)
        test = tested_images(found, images, run)
        study = rotation_study(representations, test, angle=math.radians(angle), seed=seed, told=run.measuring)
        run.write({**metrics, "n_turned": len(test), **study.record()}, found)
        draw_rotation(run.figure, study, note=f"{len(test):,} test images of {found.title}, within a disc")
        rows: list[list[Cell]] = []
        for name, ones in study.plane.items():
            one, other = ones[study.reference], study.sphere[name][study.reference]
            rows.append([name, one.change, other.relative, one.gain, one.residual])
        run.say(f"turned by {angle:g} degrees:")
        run.show(["representation", "change, plane", "random direction", "gain", "not linear"], rows)


@app.command("scales")
def scales_command(
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("scales"),
    size: Annotated[int, typer.Option(min=16, help="Pixels a side.")] = 32,
    scale: Annotated[float, typer.Option(help="Pixels: pairs of less distance are close.")] = 14.0,
    gap: Annotated[float, typer.Option(help="Pixels: pairs about the scale are left out.")] = 2.0,
    samples: Annotated[int, typer.Option(min=20, help="Training images, and as many for testing.")] = 1000,
    epochs: Annotated[int, typer.Option(min=0, help="Of the CNN's training; 0: no CNN.")] = 20,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Draw images of two white pixels and measure who can tell whether they are near each other.

    A linear classifier of pixels and of scattering, a threshold of the energy after averaging, a small CNN.
    What averaging can tell is known exactly: all pairs are counted.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    task = ScaleDetection(size, scale, gap)
    settings = {"size": size, "scale": scale, "gap": gap, "samples": samples, "epochs": epochs}
    with diagnostic_run(out, None, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        with run.counting("epochs") as update:
            study = scale_study(
                task, n_train=samples, n_test=samples, epochs=epochs, seed=seed, device=run.device, progress=update
            )
        run.write(study.record())
        close, far, _ = task.counts()
        note = f"{size} x {size} pixels, {close:,} close and {far:,} far pairs; {samples:,} training images"
        draw_scales(run.figure, study, note=note)
        rows: list[list[Cell]] = [[name, one.n_features, one.accuracy] for name, one in study.readers.items()]
        run.show(["classifier", "features", "accuracy"], rows)


@app.command("collapse")
def collapse_command(
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("collapse"),
    epochs: EpochsOption = 100,
    width: Annotated[
        int, typer.Option(min=1, help="Channels of the network's first layer; features: 4 times.")
    ] = 16,
    limit: LimitOption = 600,
    size: SizeOption = None,
    color: ColorOption = "keep",
    skip_corrupt: SkipOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Train a small CNN on DATA and follow neural collapse, NC1 to NC4, over the epochs.

    The embedded glyphs are of 16 x 16 pixels here, if no --size is given.
    """
    found = open_images(
        data, size=size, color=color, limit=limit, skip=skip_corrupt, seed=seed, threads=threads, embedded_size=16
    )
    with diagnostic_run(
        out, found, settings={"epochs": epochs, "width": width}, seed=seed, device=device, overwrite=overwrite
    ) as run:
        sets = classes_of(found, run.device)
        with run.counting("epochs") as update:
            study = collapse_study(sets.train, sets.test, epochs=epochs, width=width, seed=seed, progress=update)
        run.write({"n_train": len(sets.train[1]), "n_test": len(sets.test[1]), **study.record()}, found)
        note = f"{len(sets.train[1]):,} training images of {found.title}; a CNN of three layers"
        draw_collapse(run.figure, study, note=note)
        rows: list[list[Cell]] = []
        for one in (study.epochs[0], study.epochs[-1]):
            nc = one.collapse
            means, accuracies = nc.means, f"{one.train_accuracy:.3f}, {one.test_accuracy:.3f}"
            found_means = means.norm_variation, means.cosine_gap
            rows.append([one.epoch, accuracies, nc.variability, *found_means, nc.duality, nc.disagreement])
        run.show(["epoch", "accuracy: train, test", "NC1", "NC2 norms", "NC2 angles", "NC3", "NC4"], rows)


@app.command("support")
def support_command(
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("support"),
    scales: Annotated[int, typer.Option(min=1, help="Octaves of the scattering.")] = 3,
    angles: Annotated[int, typer.Option(min=1, help="Orientations of its wavelets.")] = 8,
    neighbours: Annotated[int, typer.Option(min=4, help="Largest order of the local support vectors.")] = 7,
    limit: LimitOption = 1000,
    size: SizeOption = None,
    color: ColorOption = "keep",
    skip_corrupt: SkipOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure how the classes of DATA separate by depth: pixels, scattering of orders 0 to 2, its logarithm.

    Local support vectors, nearest neighbour and Gaussian SVM, distances and spectrum within classes.
    """
    found = open_images(data, size=size, color=color, limit=limit, skip=skip_corrupt, seed=seed, threads=threads)
    settings = {"n_scales": scales, "n_angles": angles, "n_neighbours": neighbours}
    with diagnostic_run(out, found, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        sets = classes_of(found, run.device)
        study = support_study(
            sets.train, sets.test, n_scales=scales, n_angles=angles, n_neighbours=neighbours, told=run.measuring
        )
        run.write(study.record(), found)
        note = f"{study.n_train:,} training images of {found.title}; scattering of {scales} octaves"
        draw_support(run.figure, study, class_names=sets.names, note=note)
        rows: list[list[Cell]] = []
        for name, one in study.depths.items():
            sizes = one.support.sizes
            rows.append([name, one.n_features, one.nearest_accuracy, one.kernel_accuracy, sizes[0], sizes[-1]])
        run.show(["representation", "features", "1-NN", "SVM", "|Gamma^1|", f"|Gamma^{neighbours}|"], rows)


@app.command("splines")
def splines_command(
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("splines"),
    epochs: EpochsOption = 12,
    width: Annotated[int, typer.Option(min=1, help="Units of each of the perceptron's three layers.")] = 24,
    points: Annotated[int, typer.Option(min=16, help="A side, of the slices of the partition.")] = 500,
    limit: LimitOption = 800,
    size: SizeOption = None,
    color: ColorOption = "keep",
    skip_corrupt: SkipOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Train two small networks on DATA and show their affine pieces: templates, regions, distances of regions."""
    found = open_images(data, size=size, color=color, limit=limit, skip=skip_corrupt, seed=seed, threads=threads)
    settings = {"epochs": epochs, "width": width, "points": points}
    with diagnostic_run(out, found, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        sets = classes_of(found, run.device, at_least=3)
        with run.counting("epochs") as update:
            study = spline_study(
                sets.train, sets.test, epochs=epochs, width=width, size=points, seed=seed, progress=update
            )
        run.write(study.record(), found)
        right = ", ".join(f"{name} {value:.0%}" for name, value in study.accuracies.items())
        note = f"{len(sets.train[1]):,} training images of {found.title}; test accuracy: {right}"
        draw_splines(run.figure, study, class_names=sets.names, note=note)
        rows: list[list[Cell]] = [
            [name, study.accuracies[name], low, high] for name, (low, high) in study.lipschitz.items()
        ]
        run.show(["network", "test accuracy", "largest slope seen", "Lipschitz bound"], rows)


@app.command("filters")
def filters_command(
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("filters"),
    epochs: EpochsOption = 12,
    scales: Annotated[int, typer.Option(min=1, help="Octaves of the scattering.")] = 3,
    angles: Annotated[int, typer.Option(min=2, help="Orientations of its wavelets.")] = 8,
    limit: LimitOption = 800,
    size: SizeOption = None,
    color: ColorOption = "keep",
    skip_corrupt: SkipOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Train small networks on DATA and compare their filters with random ones: roughness, angular frequencies."""
    found = open_images(data, size=size, color=color, limit=limit, skip=skip_corrupt, seed=seed, threads=threads)
    settings = {"epochs": epochs, "n_scales": scales, "n_angles": angles}
    with diagnostic_run(out, found, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        sets = classes_of(found, run.device)
        with run.counting("epochs") as update:
            study = filter_study(
                sets.train, sets.test, epochs=epochs, n_scales=scales, n_angles=angles, seed=seed, progress=update
            )
        run.write(study.record(), found)
        right = ", ".join(f"{name} {value:.0%}" for name, value in study.accuracies.items())
        note = f"{len(sets.train[1]):,} training images of {found.title}; test accuracy: {right}"
        draw_filters(run.figure, study, note=note)
        rows: list[list[Cell]] = []
        for layer, (random, trained) in enumerate(zip(*study.laplacian.values(), strict=True), 1):
            rows.append([layer, random.roughness, trained.roughness])
        run.show(["layer", "mean eigenvalue, random", "trained"], rows)
