"""euca-box: a live EC2 and S3 compatible cloud with real virtual machines, in one program."""

__version__ = "0.1.0"
