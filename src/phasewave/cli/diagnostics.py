"""The commands ``phasewave diagnose``: representations and networks measured and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from phasewave.cli.diagnostic_runs import (
    EpochsOption,
    LimitOption,
    classes_of,
    diagnostic_run,
    open_images,
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
from phasewave.diagnostics.reference_networks import accuracy, small_cnn, train_classifier
from phasewave.diagnostics.spline_figures import draw_filters, draw_splines
from phasewave.diagnostics.spline_study import spline_study
from phasewave.diagnostics.support_figure import draw_support
from phasewave.diagnostics.support_study import support_study

app = typer.Typer(no_args_is_help=True, help="Diagnostics: representations and networks measured and drawn.")


@app.callback()
def _diagnose() -> None:
    """Diagnostics of representations and networks, each with a figure: stability, collapse, support, splines.

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
    epochs: Annotated[
        int | None,
        typer.Option(
            min=0, help="Of the trained CNN, 0: none; by default 12, and none for images without labels."
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="Test images that are deformed, at most.")] = 100,
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
    if threads is not None:
        torch.set_num_threads(threads)
    found = open_images(data, size=size, color=color, limit=limit, skip_corrupt=skip_corrupt, seed=seed)
    height, width = found.size
    if height != width:
        raise ValueError(f"the images must be square, got {height}x{width}: --size {min(height, width)} cuts them")
    moved = width / 32 if displacement is None else displacement
    trained = epochs if epochs is not None else (12 if found.labels is not None else 0)
    settings = {"displacement": moved, "cutoff": cutoff, "noise": noise, "epochs": trained, "images": images}
    with diagnostic_run(out, found, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        shape = tuple(found.images.shape[1:])
        representations = standard_representations(shape, seed=seed)
        metrics: dict[str, object] = {}
        if trained:
            sets = classes_of(found, run.device)
            network = small_cnn(shape, int(sets.train[1].max()) + 1, seed=seed).to(run.device)
            with run.counting("epochs") as update:
                train_classifier(
                    network, *sets.train, epochs=trained, seed=seed, after=lambda epoch, _: update(epoch, trained)
                )
            metrics["accuracy_of_trained_cnn"] = accuracy(network, *sets.test)
            names = list(representations)
            at = names.index("random CNN") + 1
            pairs = list(representations.items())
            representations = dict([*pairs[:at], ("trained CNN", network[:-1]), *pairs[at:]])
        test = found.float("test" if len(found.positions("test")) > 1 else None)[:images].to(run.device)
        study = deformation_study(
            {name: function.to(run.device) for name, function in representations.items()},
            test,
            displacement=moved,
            cutoff=cutoff,
            noise=noise,
            seed=seed,
            told=lambda name: run.say(f"measuring {name}"),
        )
        metrics |= {"n_deformed": len(test), **study.record()}
        run.write(metrics, found)
        folded = 1 - study.stability["identity"][-1].one_to_one
        note = f"{len(test):,} test images of {found.source}; cutoff {cutoff}; of the strongest deformations "
        draw_deformation(run.figure, study, note=f"{note}{folded:.0%} fold somewhere")
        rows = []
        for name, ones in study.stability.items():
            one = ones[study.reference]
            figures = (one.deformation, one.noise, one.relative, one.relative_median)
            rows.append([name, *("-" if value is None else f"{value:.3g}" for value in figures)])
        run.say(f"at a displacement of {moved:.3g} pixels:")
        run.show(["representation", "D_f", "G_f", "R_f", "R_f, medians"], rows)


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
    if threads is not None:
        torch.set_num_threads(threads)
    found = open_images(
        data, size=size, color=color, limit=limit, skip_corrupt=skip_corrupt, seed=seed, embedded_size=16
    )
    with diagnostic_run(
        out, found, settings={"epochs": epochs, "width": width}, seed=seed, device=device, overwrite=overwrite
    ) as run:
        sets = classes_of(found, run.device)
        with run.counting("epochs") as update:
            study = collapse_study(sets.train, sets.test, epochs=epochs, width=width, seed=seed, progress=update)
        run.write({"n_train": len(sets.train[1]), "n_test": len(sets.test[1]), **study.record()}, found)
        note = f"{len(sets.train[1]):,} training images of {found.source}; a CNN of three layers"
        draw_collapse(run.figure, study, note=note)
        rows = []
        for one in (study.epochs[0], study.epochs[-1]):
            nc = one.collapse
            means, accuracies = nc.means, f"{one.train_accuracy:.3f}, {one.test_accuracy:.3f}"
            figures = [nc.variability, means.norm_variation, means.cosine_gap, nc.duality, nc.disagreement]
            rows.append([str(one.epoch), accuracies, *("-" if v is None else f"{v:.3g}" for v in figures)])
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
    if threads is not None:
        torch.set_num_threads(threads)
    found = open_images(data, size=size, color=color, limit=limit, skip_corrupt=skip_corrupt, seed=seed)
    settings = {"n_scales": scales, "n_angles": angles, "n_neighbours": neighbours}
    with diagnostic_run(out, found, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        sets = classes_of(found, run.device)
        study = support_study(
            sets.train,
            sets.test,
            n_scales=scales,
            n_angles=angles,
            n_neighbours=neighbours,
            told=lambda name: run.say(f"measuring {name}"),
        )
        run.write(study.record(), found)
        note = f"{study.n_train:,} training images of {found.source}; scattering of {scales} octaves"
        draw_support(run.figure, study, class_names=sets.names, note=note)
        rows = []
        for name, one in study.depths.items():
            share = f"{one.nearest_accuracy:.3f}", f"{one.kernel_accuracy:.3f}"
            sizes = one.support.sizes
            rows.append([name, str(one.n_features), *share, str(sizes[0]), str(sizes[-1])])
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
    if threads is not None:
        torch.set_num_threads(threads)
    found = open_images(data, size=size, color=color, limit=limit, skip_corrupt=skip_corrupt, seed=seed)
    settings = {"epochs": epochs, "width": width, "points": points}
    with diagnostic_run(out, found, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        sets = classes_of(found, run.device, at_least=3)
        with run.counting("epochs") as update:
            study = spline_study(
                sets.train, sets.test, epochs=epochs, width=width, size=points, seed=seed, progress=update
            )
        run.write(study.record(), found)
        right = ", ".join(f"{name} {value:.0%}" for name, value in study.accuracies.items())
        note = f"{len(sets.train[1]):,} training images of {found.source}; test accuracy: {right}"
        draw_splines(run.figure, study, class_names=sets.names, note=note)
        rows = []
        for name, (low, high) in study.lipschitz.items():
            rows.append([name, f"{study.accuracies[name]:.3f}", f"{low:.3g}", f"{high:.3g}"])
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
    if threads is not None:
        torch.set_num_threads(threads)
    found = open_images(data, size=size, color=color, limit=limit, skip_corrupt=skip_corrupt, seed=seed)
    settings = {"epochs": epochs, "n_scales": scales, "n_angles": angles}
    with diagnostic_run(out, found, settings=settings, seed=seed, device=device, overwrite=overwrite) as run:
        sets = classes_of(found, run.device)
        with run.counting("epochs") as update:
            study = filter_study(
                sets.train,
                sets.test,
                epochs=epochs,
                n_scales=scales,
                n_angles=angles,
                seed=seed,
                progress=update,
            )
        run.write(study.record(), found)
        right = ", ".join(f"{name} {value:.0%}" for name, value in study.accuracies.items())
        note = f"{len(sets.train[1]):,} training images of {found.source}; test accuracy: {right}"
        draw_filters(run.figure, study, note=note)
        rows = []
        for layer, (random, trained) in enumerate(zip(*study.laplacian.values(), strict=True), 1):
            rough = [f"{one.roughness:.3f}" if one.roughness is not None else "-" for one in (random, trained)]
            rows.append([str(layer), *rough])
        run.show(["layer", "mean eigenvalue, random", "trained"], rows)
