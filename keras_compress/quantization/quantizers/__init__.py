"""Weight quantizers: tensor -> scale. One file for each quantizer."""
