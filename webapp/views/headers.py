"""The headers of every answer, also of those that never reach the app.

See https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html.
"""

from __future__ import annotations

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types lockchat",
    ]
)

# What browsers know of https://www.w3.org/TR/permissions-policy/, but the clipboard: the copy buttons write to it.
REFUSED_FEATURES = """
    accelerometer autoplay camera display-capture encrypted-media fullscreen geolocation gyroscope magnetometer
    microphone midi payment picture-in-picture publickey-credentials-get screen-wake-lock usb xr-spatial-tracking
    """.split()  # noqa: SIM905

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with it a browser sends `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in REFUSED_FEATURES),
}

PRIVATE = "private, no-store"  # the Back button shows nothing after sign-out
# One year, for this name only: a neighbour below it may have no TLS. https://www.rfc-editor.org/rfc/rfc6797
ONLY_TLS = "max-age=31536000"
