"""Activation calibrators: observed values -> range. One file for each calibrator."""
