"""Find and download weights, and publish models."""
