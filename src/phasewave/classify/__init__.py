"""Classification of images from scattering coefficients: linear, sparse and convolutional classifiers."""
