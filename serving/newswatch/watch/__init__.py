"""Watching: feeds, folders and standard input, each new article scored and stored once."""
