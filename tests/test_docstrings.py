"""The examples in docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest
import torch

import phasewave

SOURCE = Path(phasewave.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(("phasewave", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(
        importlib.import_module(name), optionflags=options, extraglobs={"torch": torch, "phasewave": phasewave}
    )
    assert result.attempted > 0
    assert result.failed == 0, "see the output above"
