"""Diagnostics of representations and networks; they take any callable or torch module."""
