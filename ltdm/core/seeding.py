"""Every random draw has an owner: its seed is made from the owner's name, not from a stream."""

import hashlib


def derive_seed(purpose: str, *owner: int) -> int:
    """Return a 63-bit seed for `purpose` and its owner, such as `("noise", seed, update)`.

    The owner's last number is added, not hashed: torch's CPU generator takes the low 32 bits alone,
    and so the images of a set, or the updates of one owner, never share one.
    """
    *names, last = owner or (0,)
    text = "/".join([purpose, *map(str, names)])
    base = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    return (base + last) % 2**63


def owner_seeds(seed: int, number: int) -> list[int]:
    """Return the seeds of a run's owners of draws: its own, then one for each further class."""
    return [seed, *(derive_seed("class", seed, k) for k in range(1, number))]
