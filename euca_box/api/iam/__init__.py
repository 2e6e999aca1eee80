"""STS, and IAM when it comes."""
