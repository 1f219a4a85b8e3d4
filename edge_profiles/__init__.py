"""Targets: what each can run, and the verdict on a file (keras_compress.edge_profiles)."""

if __name__ == "edge_profiles":
    # Under this name a checkout would hold a second copy of every class.
    raise ImportError("Import it as keras_compress.edge_profiles. Received: import edge_profiles")
