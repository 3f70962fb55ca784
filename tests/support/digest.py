"""A digest client and server for tests, from hashlib and the RFC alone: none of our own code."""

from __future__ import annotations

import hashlib
import re

HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def digest(algorithm: str, *parts: str) -> str:
    base = algorithm.removesuffix("-sess")
    return hashlib.new(HASHES[base], ":".join(parts).encode()).hexdigest()


def params(value: bytes | str) -> dict[str, str]:
    """Of a challenge or an answer."""
    text = value.decode() if isinstance(value, bytes) else value
    found = re.findall(r'([\w*-]+)=(?:"([^"]*)"|([^,\s]+))', text)
    return {name: quoted or bare for name, quoted, bare in found}


def expected(
    given: dict[str, str], password: str, method: str, body: bytes = b"", user: str | None = None
) -> str:
    """The response that an answer should hold."""
    algorithm = given.get("algorithm", "MD5")
    key = digest(algorithm, user or given["username"], given["realm"], password)
    if algorithm.endswith("-sess"):
        key = digest(algorithm, key, given["nonce"], given["cnonce"])
    what = [method, given["uri"]]
    if given.get("qop") == "auth-int":
        what.append(hashlib.new(HASHES[algorithm.removesuffix("-sess")], body).hexdigest())
    hashed = digest(algorithm, *what)
    if "qop" not in given:
        return digest(algorithm, key, given["nonce"], hashed)
    counted = given["nonce"], given["nc"], given["cnonce"], given["qop"]
    return digest(algorithm, key, *counted, hashed)


def answer(
    challenge: bytes,
    user: str,
    password: str,
    method: str,
    uri: str,
    *,
    nc: int = 1,
    qop: str | None = "auth",
    body: bytes = b"",
    **changes: str,
) -> str:
    """The value of an Authorization header."""
    asked = params(challenge)
    given = {
        "username": user,
        "realm": asked["realm"],
        "nonce": asked["nonce"],
        "uri": uri,
        "algorithm": asked.get("algorithm", "MD5"),
    }
    if qop is not None:
        given |= {"qop": qop, "nc": f"{nc:08x}", "cnonce": "0a4f113b"}
    given |= changes
    given["response"] = changes.get("response") or expected(given, password, method, body)
    bare = ("algorithm", "qop", "nc", "userhash")
    texts = [f"{k}={v}" if k in bare else f'{k}="{v}"' for k, v in given.items()]
    return "Digest " + ", ".join(texts)
