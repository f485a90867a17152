"""Damaged files at random, and the rule for reading them: a result or a `PvzooError`, soon.

`mutated` damages the bytes of a file, or the values in it (JSON, JSON Lines, YAML, XML, CSV, lines
of words). `obeys_the_rule` reads what came out, with bounds on time and memory. `until` goes on for
some seconds. All choices come from a `random.Random`: hypothesis's `randoms()` gives ones that it
can shrink.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import random
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pvzoo.errors import PvzooError

SECONDS = 2.0
"""Of the processor: what reading a small file may take."""

MEGABYTES = 1024
"""What reading a small file may add to the memory in use at its peak."""

# --- odd values -----------------------------------------------------------------------------------

_DEEP, _DIGITS, _OVERFLOW = "@deep@", "@digits@", "@overflow@"  # what no encoder would write
_RAW = {_DEEP: "[" * 20_000 + "]" * 20_000, _DIGITS: "9" * 5_000, _OVERFLOW: "-1e999"}

_LONG = ("x" * 5_000, "9" * 5_000, "a/" * 2_500, "9" * 30)
_PATHS = (".", "..", "../1.png", "/", "/etc/passwd", "~", "\\", "C:\\1.png", "a/b", "1.png/")
_TRICKY = ("", " ", "\0", "é", "\u202e", "😀", "a\nb", "\t", "*", "[", "{}", "'", '"', "<", "&amp;")
_TRICKY += ("#", ",", ";", ":", "- ", "%00", "http://", "file:///1.png")
_NUMBERS = ("None", "null", "nan", "-inf", "true", "no", "0", "-1", "1.5", "1e400", "007", "0x10")
_NUMBERS += ("1_000", "\u0661")
ODD_WORDS = (_LONG, _PATHS, _TRICKY, _NUMBERS)
"""Texts, in groups of which each is chosen as often."""

ODD_VALUES = (
    *ODD_WORDS,
    (None, True, False, "", [], {}),
    (0, 1, -1, 2, 0.5, -0.0, 1e-320, 255, 256, 65536, 100_000, 10**8),
    (2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**53 + 1, 10**40),
    (2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64),
    (1e19, -1e19, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
    ([10**5, 10**5], [2**31 - 1, 2**31 - 1], [-1, -1], [0, 0], [0], [1, 2, 3], [1] * 1_000),
    ([[]], [None], {"": None}, {"a": {}}, ["x"], [[1, 2], [3]], [{"x": 1, "y": 2}], [0.0] * 4),
    ("\ud800", _DEEP, _DIGITS, _OVERFLOW),
)
"""The same for values of JSON."""

_ODD_YAML = (
    *("&a [*a]", "*nothing", "!!binary x", "!!python/name:os.system", "!!set {a, b}", "!!int x"),
    *("2020-01-01", "2020-99-99", "1:30", ".nan", ".inf", "0o17", "<<: [a]", "? [a, b]", "|", "%"),
    *("{a: b", "[a", '"a', "!", "&", "- - - a", "---", "...", "{[a]: b}", "~", "yes", "off", "1e3"),
)
_ODD_XML = (
    *("<a>" * 5_000 + "</a>" * 5_000, "<a>", "</a>", "&b;", "&#0;", "&#1114112;", "<![CDATA["),
    *("<!-- ", "<?x", "<a b='1' b='2'/>", "<x:y/>", "<object/>", "<bndbox/>", "<polygon/>"),
)
_BOMB = '<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx">' + "".join(
    f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def odd(rng: random.Random) -> Any:
    """A value of another type, size or meaning than any reader hopes for."""
    value = copy.deepcopy(rng.choice(rng.choice(ODD_VALUES)))
    return nested(value, rng.choice([1, 2, 100])) if rng.random() < 0.05 else value


def odd_word(rng: random.Random) -> str:
    """A text that no reader hopes for."""
    return rng.choice(rng.choice(ODD_WORDS))


def nested(value: Any, depth: int) -> Any:
    """A value in that many lists."""
    for _ in range(depth):
        value = [value]
    return value


# --- trees of JSON --------------------------------------------------------------------------------


def mutated_tree(tree: Any, rng: random.Random) -> Any:
    """A copy of a tree of lists, dicts and plain values with one mutation.

    What has a name of its own is met as often as each other name, however often that occurs.
    """
    tree = {"root": copy.deepcopy(tree)}
    spots: dict[str, list[tuple[Any, Any]]] = {}
    for name, holder, key in _spots(tree):
        spots.setdefault(name, []).append((holder, key))
    holder, key = rng.choice(spots[rng.choice(list(spots))])
    value = holder[key]
    kind = rng.randrange(10)
    if kind == 0 and holder is not tree:
        del holder[key]
    elif kind == 1:
        holder[key] = nested(value, rng.choice([1, 1, 2, 50]))
    elif kind == 2:
        other, at = rng.choice(spots[rng.choice(list(spots))])
        holder[key] = copy.deepcopy(other[at])
    elif kind == 3 and isinstance(value, list):
        holder[key] = value * rng.choice([2, 3])
    elif kind == 4 and isinstance(holder, dict) and holder is not tree:
        holder[odd_word(rng)] = holder.pop(key)
    elif kind == 5:
        holder[key] = _other_kind(value, rng)
    else:
        holder[key] = odd(rng)
    return tree["root"]


def _spots(tree: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where each value is: the names on the way to it, its holder, and its key or place there."""
    waiting, seen = [("", tree)], set()  # a tree of YAML may hold itself
    while waiting:
        name, holder = waiting.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        named = isinstance(holder, MutableMapping)
        for key in list(holder) if named else range(len(holder)):
            inner = f"{name}.{key}" if named else f"{name}[]"
            yield inner, holder, key
            if isinstance(holder[key], (MutableMapping, MutableSequence)):
                waiting.append((inner, holder[key]))


def _other_kind(value: Any, rng: random.Random) -> Any:
    """The same, nearly, as another type: 3 as "3", 3.0, [3], -3, a list as an object, ..."""
    if isinstance(value, bool) or value is None:
        return rng.choice([str(value), int(bool(value)), [value]])
    if isinstance(value, (int, float)):
        near = [str(value), float(value), -value, value + 1, value * 10**6, value / 3, bool(value)]
        return rng.choice([*near, [value], {"value": value}])
    if isinstance(value, str):
        return rng.choice(
            [value.upper(), value + "\0", value * 100, list(value), value.encode().hex()]
        )
    if isinstance(value, list):
        return rng.choice([{str(i): v for i, v in enumerate(value)}, value[:1], str(value)])
    return rng.choice([list(value.items()), list(value.values()), list(value), str(value)])


def _with_raw(text: str) -> str:
    for mark, raw in _RAW.items():
        text = text.replace(f'"{mark}"', raw).replace(mark, raw)
    return text


# --- files ----------------------------------------------------------------------------------------


def _json(text: str, rng: random.Random) -> str:
    return _with_raw(json.dumps(mutated_tree(json.loads(text), rng)))


def _jsonl(text: str, rng: random.Random) -> str:
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    if rng.random() < 0.6:  # all rows alike, as what reads them wants columns of one type
        seed = rng.getrandbits(32)
        rows = [mutated_tree(row, random.Random(seed)) for row in rows]
    else:
        rows = mutated_tree(rows, rng)
    return _with_raw("\n".join(map(json.dumps, rows if isinstance(rows, list) else [rows])))


def _yaml(text: str, rng: random.Random) -> str:
    tree = yaml.safe_load(text)
    if rng.random() < 0.5:
        return _with_raw(yaml.dump(mutated_tree(tree, rng), allow_unicode=rng.random() < 0.5))
    key = rng.choice(list(tree))  # a value that only YAML can write
    lines = [yaml.dump({k: v}, default_flow_style=True)[1:-2] for k, v in tree.items() if k != key]
    lines.insert(rng.randrange(len(lines) + 1), f"{key}: {rng.choice(_ODD_YAML)}")
    return "\n".join(lines)


def _xml(text: str, rng: random.Random) -> str:
    root = ElementTree.fromstring(text)
    elements = list(root.iter())
    element, other = rng.choice(elements), rng.choice(elements)
    kind, mark = rng.randrange(6), "@raw@"
    if element.attrib and rng.random() < 0.5:
        name = rng.choice(list(element.attrib))
        if rng.random() < 0.2:
            del element.attrib[name]
        else:
            element.attrib[name] = str(odd(rng))
    elif kind == 0 and len(element):
        element.remove(rng.choice(list(element)))
    elif kind == 1:
        element.append(copy.deepcopy(other))
    elif kind == 2:
        element.tag = other.tag
    elif kind == 3:
        element.text = mark
        return _escaped(root).replace(mark, rng.choice(_ODD_XML))
    elif kind == 4 and rng.random() < 0.3:
        element.text = mark
        return _BOMB + "]>" + _escaped(root).replace(mark, "&i;")
    else:
        element.text = str(odd(rng))
    return _escaped(root)


def _escaped(root: ElementTree.Element) -> str:
    return ElementTree.tostring(root).decode()


def _csv(text: str, rng: random.Random) -> str:
    rows = list(csv.reader(text.splitlines()))
    row = rng.choice(rows)
    index = rng.randrange(len(row))
    kind = rng.randrange(6)
    if kind == 0:
        del row[index]
    elif kind == 1:
        row.insert(index, odd_word(rng))
    elif kind == 2:
        rows.insert(rng.randrange(len(rows)), list(rng.choice(rows)))
    elif kind == 3:  # a whole column
        word = str(odd(rng))
        for other in rows[1:]:
            if index < len(other):
                other[index] = word
    else:
        row[index] = str(odd(rng))
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return _with_raw(file.getvalue())


def _lines(text: str, rng: random.Random) -> str:
    """Lines of words, as YOLO's labels or lists of names."""
    lines = [line.split(" ") for line in text.splitlines()] or [[""]]
    line = rng.choice(lines)
    index = rng.randrange(len(line))
    kind = rng.randrange(5)
    if kind == 0:
        del line[index]
    elif kind == 1:
        line.insert(index, odd_word(rng))
    elif kind == 2:
        lines.insert(rng.randrange(len(lines)), list(rng.choice(lines)))
    elif kind == 3:
        line += line
    else:
        line[index] = str(odd(rng))
    return _with_raw("\n".join(map(" ".join, lines)))


_KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "json": _json,
    "jsonl": _jsonl,
    "yaml": _yaml,
    "xml": _xml,
    "csv": _csv,
    "lines": _lines,
}


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes with one mutation: flipped, cut, inserted, left out, repeated or overwritten."""
    kind = rng.randrange(7)
    index = rng.randrange(len(data) + 1)
    length = rng.choice([1, 1, 2, 8, 100])
    head, part, tail = data[:index], data[index : index + length], data[index + length :]
    if kind == 0 and part:
        return head + bytes([part[0] ^ (1 << rng.randrange(8))]) + part[1:] + tail
    if kind == 1:
        return head
    if kind == 2:
        return head + bytes(rng.randrange(256) for _ in range(min(length, 8))) + part + tail
    if kind == 3:
        return head + tail
    if kind == 4:
        return head + part * rng.choice([2, 10]) + tail
    if kind == 5:
        return head + bytes([rng.choice([0, 0xFF, 0x7F, 0x80])]) * len(part) + tail
    return rng.choice(
        [b"\xef\xbb\xbf" + data, data.decode("latin-1").encode("utf-16"), b"", data * 2]
    )


def mutated(data: bytes, kind: str, rng: random.Random) -> bytes:
    """A file with one to three mutations.

    Args:
        data: What is in it, undamaged.
        kind: "json", "jsonl", "yaml", "xml", "csv" or "lines", of which mostly the values are
            mutated; or "bytes".
        rng: Where all choices come from.
    """
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if kind in _KINDS and rng.random() < 0.75:
            try:
                data = _KINDS[kind](data.decode(), rng).encode("utf-8", "surrogatepass")
                continue
            except Exception:  # it is too damaged by now to be read as what it was
                pass
        data = mutated_bytes(data, rng)
    return data


# --- the rule -------------------------------------------------------------------------------------


class BreaksTheRule(AssertionError):
    """Reading a file came to something else than a result or a `PvzooError` in the bounds."""


class _TooLong(BaseException):
    """Raised by the timer; no `Exception`, so that nothing on the way takes it for its own."""


def obeys_the_rule(
    read: Callable[[], Any], file: str = "the file", seconds: float = SECONDS
) -> bool:
    """Read something; whether there was a result, rather than a `PvzooError`.

    Raises:
        BreaksTheRule: Another error, more `seconds` of the processor, or more than `MEGABYTES`.
    """
    memory = _Memory()
    start = time.process_time()
    sound = True
    try:
        with _bounded():
            read()
    except PvzooError as error:
        sound = False
        if not str(error).strip() or len(str(error)) > 5_000:
            raise BreaksTheRule(f"{file}: a message of {len(str(error))} characters") from error
    except _TooLong:
        raise BreaksTheRule(f"{file}: stopped after {10 * SECONDS} s") from None
    except Exception as error:
        where = "".join(traceback.format_exception(error)[-3:])
        raise BreaksTheRule(
            f"{file}: {type(error).__name__}: {str(error)[:500]}\n{where}"
        ) from error
    took, megabytes = time.process_time() - start, memory.added()
    if took > seconds:
        raise BreaksTheRule(f"{file}: took {took:.1f} s")
    if megabytes > MEGABYTES:
        raise BreaksTheRule(f"{file}: took {megabytes} MB")
    return sound


class _Memory:
    """The peak of the memory in use since this was made, in megabytes above what it was then."""

    def __init__(self) -> None:
        with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
            file.write("5")
        self._before = _status("VmRSS")

    def added(self) -> int:
        return (_status("VmHWM") - self._before) // 1024


def _status(key: str) -> int:
    """Kilobytes."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))


@contextmanager
def _bounded() -> Iterator[None]:
    """Ends what hangs, and lets no one allocate far more than is allowed, used or not."""

    def stop(*_: Any) -> None:
        raise _TooLong

    old, hard = resource.getrlimit(resource.RLIMIT_AS)
    room = (_status("VmSize") // 1024 + 8 * MEGABYTES) * 2**20
    handler = signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_AS, (room, hard))
    signal.setitimer(signal.ITIMER_PROF, 10 * SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (old, hard))
        signal.signal(signal.SIGPROF, handler)


def until(seconds: float, attempt: Callable[[random.Random], None], at_once: int = 50) -> int:
    """Call `attempt` with ever new random choices for so long; how often it was called.

    The first one that raises is shrunk by hypothesis and raised.
    """
    end, count = time.monotonic() + seconds, 0

    @settings(
        max_examples=at_once,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(st.randoms(use_true_random=False))
    def some(rng: random.Random) -> None:
        nonlocal count
        count += 1
        attempt(rng)

    while time.monotonic() < end:
        some()
    return count
