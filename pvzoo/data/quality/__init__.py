"""What is wrong with labelled data, and how it is fixed."""
