"""The signing keys of the issuer, one file among the run's secrets: the newest signs, older ones still verify."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from chassis.runtime.secret_file import read_or_create

FILE = "issuer.keys"
KEPT = 4
Algorithm = Literal["RS256", "ES256"]


@dataclass(frozen=True)
class Key:
    """A private key, as PEM, and its name in the tokens that it signs."""

    kid: str
    algorithm: Algorithm
    pem: str

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """Return a token with these claims."""
        headers = {"kid": self.kid, "typ": typ}
        return jwt.encode(dict(claims), self.pem, self.algorithm, headers)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as a JSON Web Key."""
        private = serialization.load_pem_private_key(self.pem.encode(), None)
        about = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        public = private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            return {**RSAAlgorithm.to_jwk(public, as_dict=True), **about}
        assert isinstance(public, ec.EllipticCurvePublicKey)  # noqa: S101 - see `make`
        return {**ECAlgorithm.to_jwk(public, as_dict=True), **about}


def make(algorithm: Algorithm) -> Key:
    """Return a new key."""
    key = (
        rsa.generate_private_key(65537, 2048)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Key(uuid4().hex[:12], algorithm, pem.decode())


def load(folder: Path) -> list[Key]:
    """Return the keys in this folder, the newest last; the first call creates one of each algorithm."""
    return read_or_create(
        folder / FILE, lambda: _dump([make("RS256"), make("ES256")]), _parse
    )


def rotate(folder: Path, algorithm: Algorithm = "ES256") -> Key:
    """Sign with a new key from now on; the oldest is forgotten where there are many."""
    keys = [*load(folder), make(algorithm)][-KEPT:]
    # Its mode is 0600 from the beginning; whoever reads meanwhile finds all of the old file or of the new.
    with NamedTemporaryFile("w", dir=folder, delete=False) as draft:
        draft.write(_dump(keys))
    Path(draft.name).replace(folder / FILE)
    return keys[-1]


def _dump(keys: list[Key]) -> str:
    return json.dumps([asdict(each) for each in keys])


def _parse(text: str) -> list[Key]:
    try:
        return [Key(**each) for each in json.loads(text)]
    except TypeError as error:
        raise ValueError("there are no keys in it") from error
