"""S3 over REST."""
