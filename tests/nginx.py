"""nginx with one of the configurations that we ship."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .exchange import ROOT
from .processes import Process, installed, start

PROXY = ROOT / "docs" / "proxy"
SERVER = {"/etc/nginx/casexchange-server.conf": str(PROXY / "casexchange-server.conf")}


def start_nginx(folder: Path, configuration: Path, replaced: Mapping[str, str]) -> Process:
    """`replaced`: what of the configuration is other here, such as addresses and certificates."""
    site = configuration.read_text()
    for old, new in {**SERVER, **replaced}.items():
        assert old in site, f"{configuration} has no {old!r} any more"
        site = site.replace(old, new)
    paths = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy"))
    text = (
        f"daemon off;\nuser root;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr warn;\n"
        f"events {{ worker_connections 1024; }}\nhttp {{\naccess_log {folder}/access;\n{paths}{site}}}\n"
    )
    (folder / "nginx.conf").write_text(text)
    return start(
        [installed("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"],
        log=folder / "log",
        signal_to_stop="SIGQUIT",
    )
