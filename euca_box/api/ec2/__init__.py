"""EC2's Query API."""
