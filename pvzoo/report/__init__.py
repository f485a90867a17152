"""Show where the metrics of an evaluation come from: a folder with a web page."""
