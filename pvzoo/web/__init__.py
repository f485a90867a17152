"""What the demo and the server share: limits for images of strangers, loaded models, memory."""
