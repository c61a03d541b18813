import numpy as np
import pytest
import torch

from phasewave.molecules.network import InvariantNetwork
from phasewave.molecules.ridge import LeaveOneOutRidge

SMALL = {"width": 24, "n_blocks": 1, "batch_size": 32, "learning_rate": 3e-3}


def problem(n_rows=400):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 4))
    return X, 3.0 * X[:, 0] + np.abs(X[:, 1]) * X[:, 2] + 100.0


def test_learns_what_a_ridge_cannot():
    X, y = problem(800)
    linear = np.abs(LeaveOneOutRidge().fit(X[:600], y[:600]).predict(X[600:]) - y[600:]).mean()
    model = InvariantNetwork(**{**SMALL, "learning_rate": 1e-2}, epochs=30).fit(X[:600], y[:600])
    assert np.abs(model.predict(X[600:]) - y[600:]).mean() < 0.3 * linear
    assert model.history_[model.best_epoch_ - 1, 1] == model.history_[:, 1].min()


def test_a_stopped_run_goes_on_to_the_same_end(tmp_path):
    X, y = problem()
    whole = InvariantNetwork(**SMALL, epochs=6).fit(X, y)

    def stop(epoch, rate, error):
        if epoch == 3:
            raise KeyboardInterrupt

    path = tmp_path / "network.h5"
    with pytest.raises(KeyboardInterrupt):
        InvariantNetwork(**SMALL, epochs=6, checkpoint=path, callback=stop).fit(X, y)
    seen = []
    resumed = InvariantNetwork(
        **SMALL, epochs=6, checkpoint=path, callback=lambda epoch, rate, error: seen.append((epoch, error))
    ).fit(X, y)
    assert [epoch for epoch, _ in seen] == [4, 5, 6]
    np.testing.assert_array_equal([error for _, error in seen], whole.history_[3:, 1])
    np.testing.assert_array_equal(resumed.history_, whole.history_)
    np.testing.assert_array_equal(resumed.predict(X), whole.predict(X))


def test_a_checkpoint_of_other_settings_or_data_is_refused(tmp_path):
    X, y = problem()
    path = tmp_path / "network.h5"
    InvariantNetwork(**SMALL, epochs=1, checkpoint=path).fit(X, y)
    with pytest.raises(ValueError, match="width was 24, now 25"):
        InvariantNetwork(**{**SMALL, "width": 25}, epochs=1, checkpoint=path).fit(X, y)
    with pytest.raises(ValueError, match="made with other settings: data was"):
        InvariantNetwork(**SMALL, epochs=1, checkpoint=path).fit(X, y + X[:, 0])


def test_the_fit_depends_on_the_seed_alone():
    X, y = problem()
    torch.manual_seed(1)
    first = InvariantNetwork(**SMALL, epochs=2).fit(X, y).predict(X)
    torch.manual_seed(2)
    np.testing.assert_array_equal(InvariantNetwork(**SMALL, epochs=2).fit(X, y).predict(X), first)
    assert not np.array_equal(InvariantNetwork(**SMALL, epochs=2, seed=1).fit(X, y).predict(X), first)


def test_global_random_state_is_left_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    InvariantNetwork(**SMALL, epochs=1).fit(*problem())
    assert torch.equal(torch.get_rng_state(), before)


def test_training_stops_when_it_no_longer_helps():
    X, y = problem()
    noise = np.random.default_rng(1).normal(size=len(y))
    model = InvariantNetwork(**SMALL, epochs=60, patience=4).fit(X, noise)
    assert len(model.history_) == model.best_epoch_ + 4 < 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "`width` must be an integer >= 1, got 0"),
        ({"learning_rate": 0.0}, "`learning_rate` must lie between 0 and 1, got 0.0"),
        ({"averaging": 1.0}, r"`averaging` must lie in \[0, 1\), got 1.0"),
        ({"weight_decay": -1.0}, "`weight_decay` must be a finite number >= 0, got -1.0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        InvariantNetwork(**settings).fit(*problem())
