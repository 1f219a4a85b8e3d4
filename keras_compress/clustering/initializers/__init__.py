"""Initializers: weights -> first centroids. One file for each initializer."""
