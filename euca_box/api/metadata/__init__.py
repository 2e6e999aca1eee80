"""What an instance may learn about itself."""
