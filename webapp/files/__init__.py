"""Conversations as files: one record between them, one module a format."""
