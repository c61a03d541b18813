"""The shared wavelet core: grids, filters, band-limited transforms and phases; knows no application."""
