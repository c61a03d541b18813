"""Images: scattering encoder, sparse-dictionary decoder, data and evaluation."""
