"""What people see: a real Chromium on the real gunicorn."""
