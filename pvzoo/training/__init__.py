"""Fine-tune networks with `transformers.Trainer`, which runs on Accelerate."""
