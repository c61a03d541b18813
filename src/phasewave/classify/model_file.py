"""A classifier in one file, without pickle: parameters, what was learnt, names of the classes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phasewave.classify.scattering_classifier import ScatteringClassifier
from phasewave.classify.training import NetworkClassifier
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint

_FORMAT = "phasewave-classifier-1"
_PARTS = ("type", "parameters", "classes", "class_names", "training", "state")
Classifier = ScatteringClassifier | NetworkClassifier


@dataclass(frozen=True)
class SavedClassifier:
    """A fitted classifier and what its labels mean.

    Attributes
    ----------
    model : ScatteringClassifier or NetworkClassifier
        Its classes are integers.
    class_names : tuple of str
        ``class_names[i]`` is that of ``model.classes_[i]``.
    training : dict
        What it was fitted to, JSON-able.
    """

    model: Classifier
    class_names: tuple[str, ...]
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        found = self.model.shape_ if isinstance(self.model, NetworkClassifier) else self.model.features_.shape_
        return found[0], found[1], found[2]

    @property
    def kind(self) -> str:
        """Which model it is, as the command calls it."""
        return self.model.kind if isinstance(self.model, NetworkClassifier) else self.model.head


def save_classifier(path: str | os.PathLike[str], saved: SavedClassifier) -> None:
    """Write a fitted classifier, atomically.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    state = {
        "format": _FORMAT,
        "type": type(saved.model).__name__,
        "parameters": {name: value for name, value in saved.model.get_params().items() if name != "device"},
        "classes": [int(label) for label in saved.model.classes_],
        "class_names": list(saved.class_names),
        "training": saved.training,
        "state": saved.model.state(),
    }
    save_checkpoint(path, state, settings={"format": _FORMAT})


def load_classifier(path: str | os.PathLike[str], *, device: str = "cpu") -> SavedClassifier:
    """Read what `save_classifier` wrote; no code of the file is run.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or no classifier, or has parameters that are not known here.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no model {path}: `phasewave classify fit` makes one")
    content = load_checkpoint(path)
    if content.get("format") != _FORMAT:
        raise ValueError(f"{path} is no classifier of images: `phasewave classify fit` makes one")
    missing = [name for name in _PARTS if name not in content]
    kinds: dict[str, type[ScatteringClassifier] | type[NetworkClassifier]] = {
        kind.__name__: kind for kind in (ScatteringClassifier, NetworkClassifier)
    }
    if missing or content["type"] not in kinds:
        raise ValueError(f"{path} is no whole classifier of images ({', '.join(missing) or 'type'}): fit it again")
    kind = kinds[content["type"]]
    parameters = dict(content["parameters"])
    if "log" in parameters:  # files of before there were other non-linearities
        parameters["nonlinearity"] = "log" if parameters.pop("log") else "none"
    unknown = sorted(set(parameters) - set(kind().get_params()))
    if unknown:
        raise ValueError(
            f"{path} has parameters of a {kind.__name__} that this version of phasewave does not know "
            f"({', '.join(unknown)}): use the version that made it, or fit it again"
        )
    model = kind(**{**parameters, "device": device})
    model.restore(content["state"], np.asarray(content["classes"], dtype=np.int64))
    return SavedClassifier(model, tuple(content["class_names"]), dict(content["training"]))
