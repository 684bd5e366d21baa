"""The upstream: sends requests, returns deltas and errors. Import it through `webapp.lockchat`."""
