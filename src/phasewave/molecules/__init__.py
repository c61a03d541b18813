"""Energies and forces of molecules from solid-harmonic scattering."""
