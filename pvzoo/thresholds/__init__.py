"""Choose thresholds on labelled data, and store them with a model."""
