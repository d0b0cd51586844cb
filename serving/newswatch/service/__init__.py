"""The service: newswatch over HTTP, for other programs and for people."""
