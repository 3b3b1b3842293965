"""Chance that comes out the same every time: numbers mixed from numbers and names."""

from hashlib import blake2b

_MASK = (1 << 64) - 1


def mixed(number: int, seed: int) -> int:
    """Return 64 bits that look drawn, of a number and a seed (SplitMix64's finalizer)."""
    bits = (number * 0x9E3779B97F4A7C15 + seed) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)


def fraction(name: str, purpose: str) -> float:
    """Return a number from 0 up to 1 for a name: another purpose, another number."""
    digest = blake2b(name.encode(), digest_size=6, person=purpose.encode()[:16]).digest()
    return int.from_bytes(digest, "big") / (1 << 48)
