"""Every random draw has an owner: a seed is derived from the owner's name, never from a stream."""

import hashlib


def derive(purpose: str, *owner: int) -> int:
    """Return a 63-bit seed for `purpose` and its owner, such as `("noise", seed, update)`."""
    text = "/".join([purpose, *map(str, owner)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
