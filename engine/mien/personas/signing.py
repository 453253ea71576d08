"""Ed25519 signatures on persona manifests.

A signature proves that the manifest, and through its hashes every part, is what the
holder of a key published. Keys and trust are the user's business: mien checks the
signature and shows the key's fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

SignatureState = Literal["unsigned", "valid", "unchecked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What is known about a file's signature.

    Attributes:
        state: ``unsigned``; ``valid``; or ``unchecked`` when the optional package
            ``cryptography`` is not installed. A wrong signature never gets this far:
            the file is refused.
        key_fingerprint: the first 16 hex digits of the public key's SHA-256, or "".
    """

    state: SignatureState
    key_fingerprint: str = ""


def new_private_key() -> bytes:
    """The 32 raw bytes of a fresh Ed25519 private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw()


def sign_message(message: bytes, private_key: bytes) -> tuple[bytes, bytes]:
    """(public key, signature) of ``message``: 32 and 64 bytes.

    Args:
        message: what is signed.
        private_key: 32 raw bytes.

    Raises:
        ValueError: when the key has the wrong length.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(private_key) != 32:
        raise ValueError(f"expected an Ed25519 private key of 32 bytes, got {len(private_key)}")
    key = Ed25519PrivateKey.from_private_bytes(private_key)
    return key.public_key().public_bytes_raw(), key.sign(message)


def check_signature(message: bytes, public_key: bytes, signature: bytes) -> Signature | None:
    """What the signature is worth, or None when it does not belong to the message."""
    fingerprint = sha256(public_key).hexdigest()[:16]
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return Signature(state="unchecked", key_fingerprint=fingerprint)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return None
    return Signature(state="valid", key_fingerprint=fingerprint)
