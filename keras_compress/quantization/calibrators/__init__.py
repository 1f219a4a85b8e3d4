"""Activation calibrators: observed values -> range. One file a calibrator."""
