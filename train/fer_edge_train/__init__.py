"""Training: data, architectures, two-stage fine-tuning, evaluation. Keras 3, any of its backends."""
