"""The WSGI entry point: `gunicorn wsgi:app`, `flask run`."""

import sys

from webapp import create_app
from webapp.errors import ConfigError, StorageUnavailable

try:
    app = create_app()
except (ConfigError, StorageUnavailable) as error:
    print(f"Lockchat cannot start: {error.sentence}", file=sys.stderr)
    sys.exit(3)  # gunicorn ends on it; after any other status it would start the next worker, and the next
