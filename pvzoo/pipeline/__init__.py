"""Images -> results: read ahead, batched by shape, handed out in order."""
