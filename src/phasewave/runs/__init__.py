"""Run folders: records, checkpoints, HDF5 files."""
