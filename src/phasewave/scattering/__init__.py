"""Scattering transforms built on the wavelet core."""
