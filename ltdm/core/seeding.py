"""Seeds of random draws: each is derived from what it is for, not taken from a running stream."""

import hashlib


def derive_seed(purpose: str, *owner: int) -> int:
    """Return a 63-bit seed for a purpose and its owner, such as `("noise", seed, step)`.

    The owner's last number is added to the hash, not hashed. torch's CPU generator uses only the
    low 32 bits, so hashed seeds could collide; the images of a sample set, or the steps of one
    training, never share a seed.
    """
    *names, last = owner or (0,)
    text = "/".join([purpose, *map(str, names)])
    base = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    return (base + last) % 2**63


def owner_seeds(seed: int, number: int) -> list[int]:
    """Return the seeds of a run's `number` owners of draws: its own seed, then one per class."""
    return [seed, *(derive_seed("class", seed, k) for k in range(1, number))]
