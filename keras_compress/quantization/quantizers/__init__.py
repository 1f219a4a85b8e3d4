"""Weight quantizers: tensor -> scale. One file a quantizer."""
