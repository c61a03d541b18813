import json

import pytest
import torch

from phasewave.images.evaluation import ImageJudge, evaluate_images
from phasewave.images.metrics import psnr


def smooth(number, *, seed):
    noise = torch.randn(number, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    spectrum = torch.fft.rfft2(noise)
    rows, columns = torch.fft.fftfreq(16)[:, None], torch.fft.rfftfreq(16)
    images = torch.fft.irfft2(spectrum / (0.1 + (rows**2 + columns**2).sqrt()), s=(16, 16))
    return (0.5 + 0.15 * images / images.std()).clamp(0, 1)


TRAIN, TEST = smooth(300, seed=0), smooth(120, seed=1)


def blurred(images):
    return torch.nn.functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)


def test_every_measure_of_several_sets():
    noisy = (TEST + 0.02 * torch.randn(TEST.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    found = evaluate_images(
        TRAIN,
        TEST,
        reconstructions=noisy,
        train_reconstructions=TRAIN[:50].sqrt(),
        generated={"copies": TRAIN[:120], "new": smooth(120, seed=3), "blurred": blurred(smooth(120, seed=4))},
        codes=torch.randn(500, 6, generator=torch.Generator().manual_seed(5)),
    )
    assert json.loads(json.dumps(found)) == found
    made, floor, back = found["generated"], found["floor"], found["reconstructed"]
    assert found["n"] == 120
    assert made["copies"]["memorisation_pixels"] == made["copies"]["memorisation_features"] == 0
    assert made["new"]["memorisation_features"] == pytest.approx(1, abs=0.1)
    assert made["new"]["frechet"] == pytest.approx(floor["frechet"], rel=0.4)
    assert made["blurred"]["frechet"] > 3 * floor["frechet"]
    assert made["blurred"]["recall"] < made["new"]["recall"]
    assert back["psnr"] == pytest.approx(float(psnr(noisy, TEST).mean()))
    assert back["psnr_train"] == pytest.approx(float(psnr(TRAIN[:50].sqrt(), TRAIN[:50]).mean()))
    assert back["frechet_to_test"] < back["frechet"]
    assert found["codes"]["kurtosis"] == pytest.approx(3, abs=0.2)
    keys = {key for part in (floor, back, *made.values()) for key in part}
    assert {key.removesuffix("_train") for key in keys} <= set(found["definitions"])


def test_one_set_and_the_least_number():
    found = evaluate_images(TRAIN, TEST, generated=smooth(40, seed=6))
    assert found["n"] == 40
    assert "reconstructed" not in found
    judge = ImageJudge(TRAIN, TEST, n_images=40)
    assert judge.floor == found["floor"]
    assert judge.generated(smooth(40, seed=6)) == found["generated"]
    with pytest.raises(ValueError, match="`generated` must hold at least 40 images, got 39"):
        judge.generated(smooth(39, seed=6))


def test_the_floor_alone():
    found = evaluate_images(TRAIN, TEST)
    assert set(found) == {"n", "n_train", "n_test", "floor", "definitions"}
    assert found["floor"]["frechet"] > 0


def test_bad_input():
    with pytest.raises(ValueError, match="`reconstructions` must be 120 images as `test`, got 100"):
        evaluate_images(TRAIN, TEST, reconstructions=TEST[:100])
    with pytest.raises(ValueError, match=r"`generated prior` must be images of shape \(1, 16, 16\)"):
        evaluate_images(TRAIN, TEST, generated={"prior": torch.rand(20, 1, 20, 20)})
    with pytest.raises(ValueError, match="`generated` must hold at least 10 images, got 9"):
        evaluate_images(TRAIN, TEST, generated=TEST[:9])
    with pytest.raises(ValueError, match="`train_reconstructions` must be at most 300 images, got 600"):
        evaluate_images(TRAIN, TEST, reconstructions=TEST, train_reconstructions=torch.cat([TRAIN, TRAIN]))
    with pytest.raises(ValueError, match="`train_reconstructions` must come with `reconstructions`"):
        evaluate_images(TRAIN, TEST, train_reconstructions=TRAIN)
    with pytest.raises(ValueError, match="`n_images` must be an integer between 10 and 120, got 121"):
        ImageJudge(TRAIN, TEST, n_images=121)
