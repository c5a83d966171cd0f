"""Trains the embedded prior from nothing: data, autoencoder, denoiser, export."""
