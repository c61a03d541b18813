"""Solvers: one driver loop, batched L-BFGS, results with a status."""
