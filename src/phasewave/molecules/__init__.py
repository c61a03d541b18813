"""Energies and forces of molecules, from features that do not change when a molecule turns."""
