"""An issuer of tokens outside the cluster: what it publishes, by HTTPS; its tokens are signed here."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain.cluster.node import ADDRESS
from toolchain.issuer import keys
from toolchain.issuer.people import CUSTOMER
from toolchain.issuer.tokens import Issuer

URL = f"https://{ADDRESS}"


@dataclass(frozen=True)
class Published:
    """An issuer, and the certificate that its address is verified by."""

    issuer: Issuer
    certificate: Path

    def token(self) -> dict[str, str]:
        """Return the header of a customer who may order."""
        return {
            "authorization": f"Bearer {self.issuer.access_token('alice', CUSTOMER)}"
        }


@asynccontextmanager
async def publishing(folder: Path) -> AsyncIterator[Published]:
    """Publish the discovery document and the keys of an issuer, made in this folder."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    await asyncio.to_thread(_certify, certificate, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    jwks = {"keys": [each.jwk for each in keys.load(folder)]}
    documents = {
        "/jwks": jwks,
        "/.well-known/openid-configuration": {
            "issuer": URL,
            "jwks_uri": f"{URL}/jwks",
        },
    }

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        body = json.dumps(documents[path]).encode()
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, ADDRESS, 443, ssl=context):
        yield Published(Issuer(URL, folder), certificate)


def _certify(certificate: Path, key: Path) -> None:
    certificate.parent.mkdir()
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=issuer "
        f"-addext subjectAltName=IP:{ADDRESS} -keyout {key} -out {certificate}"
    )
    subprocess.run(command.split(), capture_output=True, check=True)
