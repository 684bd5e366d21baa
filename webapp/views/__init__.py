"""The views: one blueprint a module; a view parses, asks, acts, answers."""
