"""SOAP front ends of EC2 and Walrus: other bytes for the same messages."""
