"""Runtimes that execute a TFLite file. One file a runtime."""
