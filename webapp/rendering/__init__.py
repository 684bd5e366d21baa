"""From markdown to safe HTML. Other code calls `webapp.markdown` (whole texts) and `webapp.patches` (growing ones)."""
