"""The command line."""

import os

# On cores that other work shares, OpenMP threads that spin while they wait slow a run down tenfold; sleeping costs
# little where the cores are free. It has to be said before PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
