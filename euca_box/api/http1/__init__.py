"""HTTP/1.1 (RFC 9112) for ASGI applications: heads by httptools; framing, deadlines, back-pressure ours."""
