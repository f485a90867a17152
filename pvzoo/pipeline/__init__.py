"""Turn images into results: read ahead, batch by shape, return results in order."""
