"""The name service for instances and buckets."""
