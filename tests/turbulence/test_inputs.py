import numpy as np
import pytest
import torch

from phasewave.turbulence.fields import as_field
from phasewave.turbulence.inputs import SynthesisInput, observed_rectangle, read_input, read_mask


@pytest.fixture
def files(tmp_path):
    """A stack, two fields of one sky and a mask."""
    rng = np.random.default_rng(0)
    stack, mask = rng.normal(size=(3, 20, 24)), np.ones((20, 24), dtype=bool)
    mask[2:5, 3:9] = False
    np.save(tmp_path / "stack.npy", stack)
    np.save(tmp_path / "i.npy", stack[0])
    np.save(tmp_path / "q.npy", stack[1])
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "broken.npy", np.where(mask, stack[0], np.nan))
    return tmp_path


def test_one_field(files):
    given = read_input(files / "i.npy", dtype=torch.float64)
    assert given.values.shape == (20, 24)
    assert given.n_channels == 1
    assert given.identity() == {"sha256": given.fields[0].source.sha256, "shape": [20, 24]}
    assert given.source()["path"] == str(files / "i.npy")


def test_an_ensemble_is_the_whole_stack(files):
    given = read_input(files / "stack.npy", ensemble=True, dtype=torch.float64)
    assert np.array_equal(given.values.numpy(), np.load(files / "stack.npy"))
    assert not given.channels
    assert [other["index"] for other in given.source()["others"]] == [1, 2]


def test_fields_of_one_sky(files):
    given = read_input(files / "i.npy", channels=[files / "q.npy"], dtype=torch.float64)
    assert given.channels
    assert given.n_channels == 2
    assert np.array_equal(given.values.numpy(), np.load(files / "stack.npy")[:2])


def test_what_tells_inputs_apart(files):
    plain = read_input(files / "i.npy")
    others = [
        read_input(files / "q.npy"),
        read_input(files / "stack.npy", ensemble=True),
        read_input(files / "i.npy", channels=[files / "q.npy"]),
        read_input(files / "i.npy", mask=files / "mask.npy"),
        read_input(files / "i.npy", periodic=False),
    ]
    identities = [str(given.identity()) for given in (plain, *others)]
    assert len(set(identities)) == len(identities)


def test_gaps_may_hold_anything(files):
    broken = read_input(files / "broken.npy", mask=files / "mask.npy", dtype=torch.float64)
    whole = read_input(files / "i.npy", mask=files / "mask.npy", dtype=torch.float64)
    assert torch.equal(broken.values, whole.values)
    assert broken.identity() == whole.identity()
    with pytest.raises(ValueError, match="must be finite, got 18 NaN"):
        read_input(files / "broken.npy")


@pytest.mark.parametrize("values", [np.eye(20) > 0, np.eye(20), 255 * np.eye(20, dtype=np.uint8)])
def test_masks_of_truth_values_and_numbers(tmp_path, values):
    np.save(tmp_path / "mask.npy", values)
    assert torch.equal(read_mask(tmp_path / "mask.npy"), torch.eye(20) > 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((20, 20)), "must hold a mask that is not zero where the field is observed, got zeros alone"),
        (
            np.arange(400.0).reshape(20, 20),
            "must hold a mask with two values, .* got 400 values from 0.0 to 399.0",
        ),
        (1 + np.eye(20), "got 2 values from 1.0 to 2.0"),
        (np.where(np.eye(20) > 0, np.nan, 1.0), "must hold a mask with two values"),
        (np.ones((2, 20, 20)), r"must hold a mask with axes \(H, W\), got the shape \(2, 20, 20\)"),
        (np.ones((20, 20), complex), "must hold a mask of truth values or numbers, got the dtype complex128"),
    ],
)
def test_bad_masks(tmp_path, values, message):
    np.save(tmp_path / "mask.npy", values)
    with pytest.raises(ValueError, match=message):
        read_mask(tmp_path / "mask.npy")


def test_bad_combinations(files):
    cases = [
        ({"path": files / "stack.npy", "ensemble": True, "index": 1}, "`ensemble` must be given with no `index`"),
        ({"path": files / "i.npy", "ensemble": True}, r"must hold a stack of fields .* got the shape \(20, 24\)"),
        (
            {"path": files / "stack.npy", "ensemble": True, "channels": [files / "i.npy"]},
            "`ensemble` must be given with no `channels`",
        ),
        ({"ensemble": True}, "`ensemble` must be given with a file"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            read_input(**arguments)
    np.save(files / "small.npy", np.eye(16))
    with pytest.raises(ValueError, match=r"`fields` must have the same shape, got \[\(20, 24\), \(16, 16\)\]"):
        read_input(files / "i.npy", channels=[files / "small.npy"])
    np.save(files / "small.npy", np.eye(16) > 0)
    with pytest.raises(ValueError, match=r"`mask` must have the shape \(20, 24\) of .*, got \(16, 16\)"):
        read_input(files / "i.npy", mask=files / "small.npy")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_input(files / "i.npy", mask=files / "none.npy")
    with pytest.raises(ValueError, match=r"`fields` must be one or more, got \[\]"):
        SynthesisInput(())
    with pytest.raises(ValueError, match=r"`mask` must have the shape of the fields \(16, 16\), got \(2, 2\)"):
        SynthesisInput((as_field(np.eye(16)),), mask=torch.ones(2, 2) > 0)


def brute_force(mask):
    best = 0
    for top in range(mask.shape[0]):
        for left in range(mask.shape[1]):
            for bottom in range(top + 1, mask.shape[0] + 1):
                for right in range(left + 1, mask.shape[1] + 1):
                    if mask[top:bottom, left:right].all():
                        best = max(best, (bottom - top) * (right - left))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_the_largest_rectangle_is_that_of_brute_force(seed):
    mask = torch.rand(7, 9, generator=torch.Generator().manual_seed(seed)) < 0.8
    rows, columns = observed_rectangle(mask)
    assert bool(mask[rows, columns].all())
    assert mask[rows, columns].numel() == brute_force(mask)


def test_rectangles_of_all_and_of_nothing():
    assert observed_rectangle(torch.ones(4, 5) > 0) == (slice(0, 4), slice(0, 5))
    rows, columns = observed_rectangle(torch.zeros(4, 5) > 0)
    assert torch.zeros(4, 5)[rows, columns].numel() == 0
