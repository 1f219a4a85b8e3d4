"""Targets: what each can run, and the verdict on a file (keras_compress.edge_profiles)."""
