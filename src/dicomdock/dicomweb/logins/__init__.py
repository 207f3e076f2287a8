"""Logins whose header fields must be fetched, renewed or computed.

``oidc`` (OpenID Connect; Azure and Google users too) with ``issuer``, ``browser`` and ``device``; ``google``;
``aws``; ``kheops``. ``signing`` signs in and out for all of them; ``dicomweb.auth.auth_for`` makes the login.
"""
