"""From markdown to safe HTML, whole or growing. `webapp.markdown` and `webapp.patches` are its doors."""
