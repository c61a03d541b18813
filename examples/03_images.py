"""Images reconstructed, made new from noise, and turned into one another, by parts that can each be read.

A generator learns glyphs that the package draws itself. Its encoder is fixed wavelets, a rectifier, averages and
whitening; its decoder a dictionary of patterns, few of them active in an image, and a linear inverse; its prior an
invertible map of the codes to white noise. The picture shows test images over what is had back from their codes,
new images, a way from one test image to another, and the patterns of the dictionary.

Run ``python examples/03_images.py`` (some three minutes on 2 cores) or with ``--quick`` (16 x 16 pixels and hardly
trained, seconds); it draws ``images.png`` and ``dictionary.png`` in the current folder, and writes ``images.gif``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import phasewave as pw
from phasewave.images.figures import draw_overview, write_animation
from phasewave.images.metrics import psnr
from phasewave.images.stages import StageProgress
from phasewave.images.training_figures import draw_dictionary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and small images, hardly trained")
    options = parser.parse_args()

    images = pw.read_images(None, size=16 if options.quick else 32, limit=300 if options.quick else None)
    train, validation, test = (images.float(name) for name in ("train", "val", "test"))
    generator = pw.ImageGenerator(
        code_dim=24 if options.quick else 48,
        n_atoms=8 if options.quick else 32,
        epochs=1 if options.quick else 5,
        prior_epochs=1 if options.quick else 80,
    )
    generator.fit(train, validation, progress=say)

    made = generator.reconstruct(test)
    linear = generator.decoder_.linear(generator.encode(test))
    active = (generator.decoder_.sparse_codes(generator.encode(test)) != 0).float().mean()
    print(f"test images: PSNR {psnr(made, test).mean():.2f} dB, linear decoder {psnr(linear, test).mean():.2f} dB")
    print(f"active patterns: {active:.1%}")

    new = generator.generate(48, seed=0)
    ways = generator.interpolate(test[:3], test[3:6], steps=31)
    note = f"{len(train):,} training images; {active:.1%} of the patterns active"
    draw_overview(Path("images.png"), test, made, new, ways[:, ::2], title="Glyphs", note=note)
    use = generator.decoder_.sparse_codes(generator.encode(test)).unflatten(1, (generator.n_atoms, -1)).sum((0, 2))
    draw_dictionary(Path("dictionary.png"), generator.decoder_.dictionary.atoms(), use)
    write_animation(Path("images.gif"), ways)
    print("wrote images.png, dictionary.png and images.gif")


def say(state: StageProgress) -> None:
    training = state.training
    if training is None:
        print(f"stage {state.stage}")
    elif training.batch == training.n_batches:
        print(f"  epoch {training.epoch}: loss {training.loss:.4f}")


if __name__ == "__main__":
    main()
