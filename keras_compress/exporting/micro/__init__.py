"""Output for TFLite Micro on a microcontroller."""
