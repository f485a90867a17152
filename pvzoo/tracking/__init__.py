"""Follow objects from frame to frame, with the trackers of the package `trackers`."""
