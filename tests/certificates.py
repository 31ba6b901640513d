"""Certificates for servers of tests, from an authority that lasts as long as the folder."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_ASKING = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
           "-nodes", "-days", "1")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for 127.0.0.1, its key, and the certificate of who signed it."""

    certificate: Path
    key: Path
    authority: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """What makes a Redis use it; clients need none of their own."""
        return ("--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.key),
                "--tls-ca-cert-file", str(self.authority), "--tls-auth-clients", "no")  # fmt: skip


def issued(folder: Path, name: str) -> Certificate:
    """A certificate of an authority `name` that nobody else knows."""
    found = Certificate(*(folder / f"{name}{part}.pem" for part in ("", "-key", "-authority")))
    authority_key = folder / f"{name}-authority-key.pem"
    _run(
        *_ASKING,
        "-subj",
        f"/CN={name}",
        "-addext",
        "keyUsage=critical,keyCertSign",
        "-keyout",
        authority_key,
        "-out",
        found.authority,
    )
    _run(*_ASKING, "-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:false", "-CA", found.authority,
         "-CAkey", authority_key, "-keyout", found.key, "-out", found.certificate)  # fmt: skip
    return found


def _run(*words: str | Path) -> None:
    subprocess.run(words, check=True, capture_output=True)
