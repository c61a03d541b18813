"""The public face: every name is there, and none is loaded before it is used."""

import os
import subprocess
import sys

import pytest

import phasewave


def run(code: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | environment
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_public_name_is_there():
    for name in phasewave.__all__:
        assert getattr(phasewave, name) is not None
    assert dir(phasewave) == sorted(phasewave.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Scattering3D'"):
        _ = phasewave.Scattering3D


def test_importing_the_package_loads_no_torch():
    assert run("import sys, phasewave; print('torch' in sys.modules)") == "False"


def test_the_command_lets_waiting_threads_sleep_unless_told_otherwise():
    code = "import os, phasewave.cli; print(os.environ['OMP_WAIT_POLICY'])"
    assert run(code) == "PASSIVE"
    assert run(code, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"
