"""Who may ask: a token beyond this machine, no foreign page in anybody's browser."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from fer_edge_runtime.errors import ConfigError
from fer_edge_runtime.service.address import is_loopback

COOKIE = "fer_edge"
COOKIE_DAYS = 30
TOKEN_VARIABLE = "FER_EDGE_TOKEN"  # noqa: S105 the variable's name
MIN_TOKEN = 16


class Access:
    """Decides over requests by their headers.

    Attributes:
        token_needed: whether a token is asked for.
        cookie: what a browser's cookie holds after the login: derived from the token, of no use for finding it.
    """

    def __init__(self, token: str | None = None) -> None:
        """Ask for this token, or for none."""
        self.token_needed = token is not None
        self._token = (token or "").encode()
        self.cookie = hmac.new(self._token, b"fer-edge page cookie", hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        """Whether this is the token, compared in constant time."""
        return self.token_needed and hmac.compare_digest(token.encode("utf-8", "replace"), self._token)

    def admits(self, authorization: str, cookie: str) -> bool:
        """Whether the header ``Authorization: Bearer TOKEN`` or the page's cookie opens."""
        if not self.token_needed:
            return True
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.knows(token.strip()):
            return True
        return hmac.compare_digest(cookie.encode("utf-8", "replace"), self.cookie.encode())

    def host_allowed(self, header: str) -> bool:
        """Against DNS rebinding: a foreign page whose name points to 127.0.0.1 sends its own name as Host.

        With a token such a page gets nothing anyway: the browser keeps the cookie for another name.
        """
        if self.token_needed:
            return True
        try:
            host = urlsplit(f"//{header}").hostname
        except ValueError:
            return False
        return host is not None and is_loopback(host)


def same_origin(origin: str, host: str, fetch_site: str, fetch_mode: str) -> bool:
    """Whether a request comes from our own page, from the address line or from no browser at all.

    Args:
        origin: the header Origin; empty without one.
        host: the header Host.
        fetch_site: Sec-Fetch-Site, which scripts cannot set.
        fetch_mode: Sec-Fetch-Mode; a link to the page is ``navigate``.
    """
    if fetch_site:
        return fetch_site in ("same-origin", "none") or (fetch_mode == "navigate" and not origin)
    if not origin:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def read_token(file: Path | None) -> str | None:
    """The token of a file, else of ``FER_EDGE_TOKEN``, else None. Not an option: everybody could read it in ``ps``.

    Raises:
        ConfigError: the file cannot be read, or the token is too short or holds characters that a header cannot carry.
    """
    if file is None:
        token, origin = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
    else:
        origin = str(file)
        try:
            token = file.read_text("ascii").strip()
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "it is not ASCII text"
            raise ConfigError(f"{origin}: the token cannot be read: {reason}.") from error
    if token is None:
        return None
    if len(token) < MIN_TOKEN or len(token) > 256 or not all("!" <= char <= "~" for char in token):
        raise ConfigError(
            f"The token in {origin} cannot be used: it needs {MIN_TOKEN} to 256 ASCII characters without spaces, such as "
            f"{secrets.token_urlsafe(24)}"
        )
    return token


def require_token(token: str | None, host: str, *, option: str) -> None:
    """Refuse to be open to a network.

    Raises:
        ConfigError: the host is reachable from elsewhere and there is no token.
    """
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"{host} can be reached by others, so a token is needed. Set {TOKEN_VARIABLE}, for example to "
            f"{secrets.token_urlsafe(24)}, or put it into a file and give {option} FILE; or serve on 127.0.0.1."
        )
