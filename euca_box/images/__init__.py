"""What an image is, how it is checked, converted, fetched and built."""
