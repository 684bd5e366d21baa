"""Conversations of other products and of ours as files: one module a format."""
