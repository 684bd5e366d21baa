"""The wire to the upstream: requests out, deltas and errors in. `webapp.lockchat` is its door."""
