"""Where the error of a quantized model comes from, and how many bits each layer needs."""
