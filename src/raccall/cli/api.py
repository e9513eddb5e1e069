"""The HTTP side of a running server, as commands for its owner use it.

With a token that `raccall serve` prints; where the server's data folder can be read, token and certificate are found
there.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from raccall.client.link import InviteLink, parse_link
from raccall.errors import ConnectionFailed, InputError, RefusedError
from raccall.server.tokens import Tokens
from raccall.store import DataFolder, default_data_folder
from raccall.units import DEFAULT_PORT
from raccall.wire.tls import as_connection_failed, client_context

TIMEOUT_S = 10.0
HERE = f"http://127.0.0.1:{DEFAULT_PORT}"


class Api:
    """`server`: a URL, or an invite link with its certificate's fingerprint. Raises InputError `invite_malformed`."""

    def __init__(self, server: str, token: str) -> None:
        link = place(server)
        self._authority, self._url = link.authority, link.api_url
        tls = client_context(link.fingerprint) if link.secure else False
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(verify=tls, trust_env=False, timeout=TIMEOUT_S, headers=headers)

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        """The answer's JSON. Raises RefusedError or ConnectionFailed."""
        try:
            answer = self._http.request(method, f"{self._url}/{path}", json=body)
            fields = answer.json()
            if answer.is_success:
                return fields
            refused = RefusedError(fields["code"], fields["sentence"])
        except httpx.TransportError as error:
            raise as_connection_failed(error, self._authority) from error
        except (ValueError, KeyError, TypeError):
            sentence = f"What answers at {self._authority} is not a Raccall server."
            raise ConnectionFailed("server_unsuitable", sentence) from None
        raise refused


def place(server: str) -> InviteLink:
    """Where a URL or an invite link leads; of a URL the token is nothing. Raises InputError `invite_malformed`."""
    if "/join/" in server:
        return parse_link(server)
    url, mark, fingerprint = server.partition("#")
    return parse_link(f"{url.rstrip('/')}/join/x{mark}{fingerprint}")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Where tokens are found that are not given."""
    parser.add_argument("--data", type=Path, default=default_data_folder(), help="data folder (default: %(default)s)")


def token_of(given: str | None, variable: str, data: Path, choose: Callable[[Tokens], str], missing: str) -> str:
    """As given, else from the environment, else from the data folder. Raises InputError `owner_missing`, `missing`."""
    token = given or os.environ.get(variable)
    if token is not None:
        return token
    if not (data / "secret").is_file():
        raise InputError("owner_missing", missing)
    return choose(Tokens(DataFolder(data).secret()))
