"""What is known of the families of networks."""
