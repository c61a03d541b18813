"""What a representation does with a deformation of its input, and how a network cuts up the space of images.

Glyphs that the package draws are deformed by random smooth maps of rising temperature. A representation f is
stable if f(tau x) is near f(x) beside the distance of two images (D_f), and if that is small beside the effect of
white noise of the same size (R_f = D_f / G_f): 1 for the identity, small for scattering of many octaves and for a
trained network. Then a narrow perceptron is trained, and the linear regions of its layers are drawn on the plane
through three images.

Run ``python examples/04_diagnostics.py`` (under two minutes on one core) or with ``--quick`` (seconds); it draws
``deformation.png`` and ``splines.png`` in the current folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from phasewave.diagnostics.deformation_study import deformation_study, standard_representations
from phasewave.diagnostics.figures import draw_deformation
from phasewave.diagnostics.reference_networks import small_cnn, train_classifier
from phasewave.diagnostics.spline_figures import draw_splines
from phasewave.diagnostics.spline_study import spline_study
from phasewave.images.reading import read_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and small images, hardly trained networks")
    options = parser.parse_args()
    size, epochs = (16, 1) if options.quick else (32, 12)
    images = read_images(None, size=size, limit=100 if options.quick else 800)
    train = images.float("train"), images.labels_of("train")
    test = images.float("test"), images.labels_of("test")

    representations = standard_representations((1, size, size))
    network = small_cnn((1, size, size), len(images.class_names))
    train_classifier(network, *train, epochs=epochs)
    representations["trained CNN"] = network[:-1]
    stability = deformation_study(representations, test[0][:100], displacement=size / 32)
    for name, ones in stability.stability.items():
        one = ones[stability.reference]
        print(f"{name:22}  D {one.deformation:.3f}  G {one.noise:.3f}  R {one.relative:.2f}")
    draw_deformation(Path("deformation.png"), stability, note=f"{images.source}")

    splines = spline_study(train, test, epochs=epochs, size=100 if options.quick else 500)
    print("regions of the perceptron on a plane, by depth:", [one.n_regions for one in splines.slices])
    draw_splines(Path("splines.png"), splines, class_names=images.class_names, note=f"{images.source}")
    print("wrote deformation.png and splines.png")


if __name__ == "__main__":
    main()
