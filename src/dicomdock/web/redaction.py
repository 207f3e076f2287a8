"""Redactor: takes the secrets of a request out of whatever its answer repeats.

A server may send a secret back as it was, percent-encoded, escaped for HTML or JSON, in base64 or
hexadecimal, also in several of these at once. The text is unescaped level by level with a map back to where
each byte came from, so that it is found in any mixture of them. A part of a long secret is masked too: what
is shown of an answer may have been cut within it, or be written in small letters.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus

from dicomdock.errors import DicomdockError

MASK = "***"
MIN_PLAIN = 6  # characters; shorter secrets are hidden only where they stand as a word of their own
MIN_BASE64 = 6  # characters of base64 that prove the secret
PIECE = 8  # characters of a secret, or of its base64, that are masked wherever they stand
MAX_FACT = 4096  # characters of an exception of another library that are shown
MIN_PROOF = 12  # characters of a secret that stand in no data by chance
LEVELS = 4  # escapes inside escapes
MAX_READINGS = 24  # ways to unescape one text that are looked at
# Undone one kind at a time: a secret may hold for itself what would be an escape of another kind.
_ESCAPES = (
    re.compile(r"%(?P<percent>[0-9A-Fa-f]{2})"),
    re.compile(r"\\u(?P<unicode>[0-9A-Fa-f]{4})|\\x(?P<hex>[0-9A-Fa-f]{2})|\\(?P<plain>[/\"'\\])"),
    re.compile(r"(?P<entity>&(?:#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};))"),
)
# As html.escape writes it; that module loads all of HTML's names.
_IN_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
_WORD = b"[0-9A-Za-z_]"
# Letters that stand for each other: the two alphabets of base64, and the blank that a form writes as a plus.
_ALIKE = bytes.maketrans(b"-_ ", b"+/+")
_SAME = {ord("+"): b"[+-]", ord("/"): b"[/_]"}  # the two alphabets of base64 (RFC 4648 §4, §5)


class Redactor:
    """Secrets, and what they look like in text.

    Parameters
    ----------
    secrets : what must not be shown; empty ones are passed over.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(
            dict.fromkeys(one for secret in secrets if secret for one in _spellings(secret))
        )
        self._pattern: re.Pattern[bytes] | None = None
        self._pieces: frozenset[bytes] = frozenset()

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def redact(self, text: str) -> str:
        """Return the text with every secret masked."""
        if not self._secrets or not text:
            return text
        if self._pattern is None:
            self._pieces = frozenset(_pieces(self._secrets))
            self._pattern = re.compile(b"|".join(_forms(self._secrets)), re.IGNORECASE)
        hidden: list[tuple[int, int]] = []
        for level in _readings(text):
            hidden += (level.origin(*found.span()) for found in self._pattern.finditer(level.data))
            hidden += (level.origin(at, at + PIECE) for at in self._pieces_in(level.data))
        return _masked(text, hidden)

    def is_repeated_in(self, data: bytes) -> bool:
        """Return whether data hold a whole long secret, plain or in one encoding.

        In one pass over the data for each form: what is received may be large.
        """
        long = (secret for secret in self._secrets if len(secret) >= MIN_PROOF)
        return any(form in data for secret in long for form in _written(secret))

    def _pieces_in(self, data: bytes) -> Iterator[int]:
        """Yield the positions at which a piece of a secret begins."""
        if self._pieces:
            plain = data.translate(_ALIKE).lower()
            yield from (at for at in range(len(plain) - PIECE + 1) if plain[at : at + PIECE] in self._pieces)

    def redact_error(self, error: BaseException) -> None:
        """Mask the secrets in the words and facts of an error, and of those that led to it, in place."""
        if self._secrets:
            self._redact_chain(error, set())

    def _redact_chain(self, error: BaseException, seen: set[int]) -> None:
        if id(error) in seen:
            return
        seen.add(id(error))
        limit = None if isinstance(error, DicomdockError) else MAX_FACT
        facts = vars(error)
        args = error.args
        error.args = tuple(self._redacted_fact(item, limit) for item in args)
        for name, value in list(facts.items()):
            facts[name] = self._redacted_fact(value, limit)
        for item in (error.__cause__, error.__context__, *args, *facts.values()):
            if isinstance(item, BaseException):
                self._redact_chain(item, seen)

    def _redacted_fact(self, value: object, limit: int | None) -> object:
        if isinstance(value, str):
            return self.redact(value[:limit])
        if isinstance(value, bytes):
            return self.redact(value[: limit or MAX_FACT].decode("latin-1")).encode("latin-1", "replace")
        return value


class _Level:
    """A text at one depth of escaping, as bytes that know which characters of the original they came from."""

    def __init__(self, data: bytes, starts: Sequence[int], ends: Sequence[int]) -> None:
        self.data = data
        self._starts = starts
        self._ends = ends

    @classmethod
    def of(cls, text: str) -> _Level:
        if text.isascii():
            return cls(text.encode("ascii"), range(len(text)), range(1, len(text) + 1))
        data, starts, ends = bytearray(), list[int](), list[int]()
        for index, letter in enumerate(text):
            encoded = letter.encode("utf-8", "surrogatepass")
            data += encoded
            starts += [index] * len(encoded)
            ends += [index + 1] * len(encoded)
        return cls(bytes(data), starts, ends)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the characters of the original that these bytes came from."""
        return self._starts[start], self._ends[end - 1]

    def unescaped(self, escapes: re.Pattern[str]) -> _Level | None:
        """Return the next level, with these escapes undone; None where there are none."""
        text = self.data.decode("latin-1")  # a letter a byte: the positions are the same
        data, starts, ends = bytearray(), list[int](), list[int]()
        done = 0
        for found in escapes.finditer(text):
            data += self.data[done : found.start()]
            starts += self._starts[done : found.start()]
            ends += self._ends[done : found.start()]
            meant = _meant(found)
            data += meant
            starts += [self._starts[found.start()]] * len(meant)
            ends += [self._ends[found.end() - 1]] * len(meant)
            done = found.end()
        if not done:
            return None
        data += self.data[done:]
        starts += self._starts[done:]
        ends += self._ends[done:]
        return _Level(bytes(data), starts, ends)


def _readings(text: str) -> Iterator[_Level]:
    """Yield the text, and what it is with one kind of escapes after the other undone."""
    waiting = [(_Level.of(text), 0)]
    seen: set[bytes] = set()
    while waiting and len(seen) < MAX_READINGS:
        level, depth = waiting.pop(0)
        if level.data in seen:
            continue
        seen.add(level.data)
        yield level
        if depth < LEVELS:
            further = (level.unescaped(escapes) for escapes in _ESCAPES)
            waiting += ((one, depth + 1) for one in further if one is not None)


def _meant(escape: re.Match[str]) -> bytes:
    found = escape.groupdict()
    if digits := found.get("percent") or found.get("hex"):
        return bytes((int(digits, 16),))
    if digits := found.get("unicode"):
        return chr(int(digits, 16)).encode("utf-8", "surrogatepass")
    if plain := found.get("plain"):
        return str(plain).encode()
    import html  # its table of names is only needed here

    return html.unescape(found["entity"]).encode("utf-8", "surrogatepass")


def _forms(secrets: Iterable[str]) -> Iterator[bytes]:
    """Yield patterns of what secrets look like once nothing is escaped any more; the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        content = secret.encode("utf-8", "surrogatepass")
        plain = re.escape(content).replace(rb"\ ", rb"[ +]")  # a form writes a blank as a plus
        yield plain if len(secret) >= MIN_PLAIN else b"(?<!%b)%b(?!%b)" % (_WORD, plain, _WORD)
        for ahead in range(3):
            core = _base64_core(content, ahead)
            if len(core) >= MIN_BASE64:
                letters = (_SAME.get(letter, b"%c" % letter) for letter in core)
                yield b"[0-9A-Za-z+/_-]?" + b"".join(letters) + b"[0-9A-Za-z+/_-]{0,2}={0,2}"
        if len(content) * 8 // 6 < MIN_BASE64:
            yield rb"(?<![0-9A-Za-z+/_-])" + re.escape(b64encode(content))


def _written(secret: str) -> Iterator[bytes]:
    """Yield what a secret looks like in JSON, an address, base64 and hexadecimal."""
    content = secret.encode("utf-8", "surrogatepass")
    in_json = json.dumps(secret, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    hexadecimal = content.hex().encode()
    yield from {
        content,
        in_json,
        in_json.replace(b"/", b"\\/"),
        secret.translate(_IN_HTML).encode("utf-8", "replace"),
    }
    yield from {quote(content, safe="").encode(), quote(content).encode(), quote_plus(content).encode()}
    yield from (hexadecimal, hexadecimal.upper())
    for ahead in range(3):
        core = _base64_core(content, ahead)
        yield from {core, core.replace(b"+", b"-").replace(b"/", b"_"), core.replace(b"/", b"\\/")}


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret, and how it looks where its letters beyond ASCII were read in a wrong encoding."""
    yield secret
    if not secret.isascii():
        encoded = secret.encode("utf-8", "surrogatepass")
        yield encoded.decode("latin-1")
        yield secret.encode("latin-1", "replace").decode("utf-8", "replace")


def _pieces(secrets: tuple[str, ...]) -> Iterator[bytes]:
    """Yield all runs of ``PIECE`` letters of long secrets, of their base64 and of their hexadecimal form."""
    for secret in secrets:
        content = secret.encode("utf-8", "surrogatepass")
        if len(content) < PIECE:
            continue
        login = any(secret != other and secret.endswith(f":{other}") for other in secrets)
        # The user's name is not a secret; a login as a whole is masked by what it ends with.
        written = [] if login else [content, content.hex().encode()]
        written += (_base64_core(content, ahead) for ahead in range(3))
        for form in written:
            plain = form.translate(_ALIKE).lower()
            yield from (plain[at : at + PIECE] for at in range(len(plain) - PIECE + 1))


def _base64_core(content: bytes, ahead: int) -> bytes:
    """Return the letters that base64 has for these bytes, ``ahead`` bytes in, whatever is around them."""
    encoded = b64encode(bytes(ahead) + content)
    return encoded[(ahead * 8 + 5) // 6 : (ahead + len(content)) * 8 // 6]


def _masked(text: str, hidden: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end in sorted(hidden):
        if end <= done:
            continue
        if start >= done:
            pieces += (text[done:start], MASK)
        done = end
    return "".join((*pieces, text[done:]))
