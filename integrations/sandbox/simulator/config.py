"""The configuration file of the simulator, which names the partners to simulate.

partners:
  - system_id: ACME
    signing_secret: whsec_...            # without a secret, signatures are not checked
    token: ...                           # for our API; without a token, ACME only receives
    base_url: http://127.0.0.1:8000      # the address of our API
    port: 9921                           # a port of its own, besides the one that all partners share
    certificate: acme.pem                # for TLS on that port: the private key and the certificate chain
    expired_certificate: acme-old.pem    # the certificate to use with the behaviour `expired`
  - system_id: DELTA
    delivery: pull                       # collects its operations by our API, with its token
    token: ...
    base_url: http://127.0.0.1:8000
  - system_id: EPSILON
    delivery: smax                       # collects them as an SMAX adapter, and sends its own by that
    username: epsilon-integration        # its account, instead of a token
    password: ...
    tenant: default
    entity_type: Change                  # what it calls a change
    poll_seconds: 10                     # the pause between two polls
    base_url: http://127.0.0.1:8000
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from integrations.transports.signing import check_secret

PUSH, PULL, SMAX = "push", "pull", "smax"
NUMBERS = {"port", "poll_seconds"}


class ConfigError(Exception):
    """The file cannot be used. The message names the file and the place in it."""


@dataclass(frozen=True)
class Partner:
    """One simulated partner. `token`: for our API at `base_url`. `port`: its own port, 0 for only the shared one.

    `delivery`: how it gets its operations. `username`, `password`, `tenant` and `entity_type` are those of an SMAX
    adapter, `poll_seconds` its pause between two polls.
    """

    system_id: str
    base_url: str
    token: str = ""
    signing_secret: str = ""
    port: int = 0
    certificate: str = ""
    expired_certificate: str = ""
    delivery: str = PUSH
    username: str = ""
    password: str = field(default="", repr=False)
    tenant: str = "default"
    entity_type: str = "Change"
    poll_seconds: float = 10


def load(path: Path) -> dict[str, Partner]:
    """The partners by system id, in the order of the file. Raises ConfigError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid YAML: {error}") from error
    if not isinstance(content, dict) or [*content] != ["partners"] or not isinstance(content["partners"], list):
        raise ConfigError(f"{path}: write one key, partners, with a list of partners.")
    partners: dict[str, Partner] = {}
    for index, entry in enumerate(content["partners"]):
        try:
            partner = _partner(entry)
        except ValueError as error:
            raise ConfigError(f"{path}: partners[{index}]: {error}") from error
        if partner.system_id in partners:
            raise ConfigError(f"{path}: partners[{index}]: {partner.system_id} is there twice.")
        partners[partner.system_id] = partner
    if not partners:
        raise ConfigError(f"{path}: name at least one partner.")
    return partners


def _partner(entry: object) -> Partner:
    known = [each.name for each in fields(Partner)]
    if not isinstance(entry, dict):
        raise ValueError("write a partner as keys and values.")
    if unknown := [str(key) for key in entry if key not in known]:
        raise ValueError(f"unknown: {', '.join(unknown)}. Known: {', '.join(known)}.")
    if wrong := [key for key, value in entry.items() if key not in NUMBERS and not isinstance(value, str)]:
        raise ValueError(f"not a text: {', '.join(wrong)}.")
    port = entry.get("port", 0)
    if type(port) is not int or not 0 <= port <= 65535:
        raise ValueError("port must be a number from 1 to 65535.")
    if (entry.get("certificate") and not port) or (entry.get("expired_certificate") and not entry.get("certificate")):
        raise ValueError("a certificate needs a port, and an expired_certificate a certificate.")
    pause = entry.get("poll_seconds", 1)
    if type(pause) not in (int, float) or not 0 < pause <= 3600:
        raise ValueError("poll_seconds must be a number of up to 3600.")
    if entry.get("delivery", PUSH) not in (PUSH, PULL, SMAX):
        raise ValueError(f"delivery must be one of {PUSH}, {PULL}, {SMAX}.")
    if entry.get("delivery") == PULL and not entry.get("token"):
        raise ValueError("with delivery pull, token is needed.")
    if entry.get("delivery") == SMAX and not (entry.get("username") and entry.get("password")):
        raise ValueError("with delivery smax, username and password are needed.")
    if not entry.get("system_id") or not entry.get("base_url"):
        raise ValueError("system_id and base_url are needed.")
    if urlsplit(entry["base_url"]).scheme not in {"http", "https"}:
        raise ValueError("base_url must begin with http:// or https://.")
    if entry.get("signing_secret"):
        check_secret(entry["signing_secret"])
    return Partner(**{**entry, "base_url": entry["base_url"].rstrip("/")})
