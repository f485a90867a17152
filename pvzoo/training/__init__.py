"""Fine-tuning on `transformers.Trainer`, that is on Accelerate."""
