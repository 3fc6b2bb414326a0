"""Changes to files that keep so much of their structure that a reader goes deep into them.

All that is drawn comes from the generator that is handed in: a seed gives the same file again.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import pickletools
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from lfp_snn.unpacking import DAMAGE
from tests.fuzz.values import COLUMNS, DTYPES, INSTRUCTIONS, LONG_JSON, NUMBERS, VALUES, WORDS

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_MOST = 1 << 20  # bytes of an input
_HUGE = 1 << 26  # bytes to which a part of one unpacks

Random = random.Random


def mutated(structure: str, data: bytes, rng: Random, scratch: Path) -> bytes:
    """A changed file.

    Args:
        structure: a key of `STRUCTURES`, else only its bytes are changed.
        data: a file of that structure.
        rng: draws the change.
        scratch: a path for what must be changed on disk.
    """
    own = STRUCTURES.get(structure, _bytes)
    changes = [own if rng.random() > 0.35 else _bytes for _ in range(rng.choice((1, 1, 1, 2, 4)))]
    # What has lost its structure is changed by bytes alone: h5py, too, would stumble.
    for change in sorted(changes, key=lambda each: each is _bytes):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = change(data, rng, scratch)[:_MOST]
        except (*DAMAGE, yaml.YAMLError):
            data = _bytes(data, rng, scratch)[:_MOST]
    return data


def _bytes(data: bytes, rng: Random, _: Path) -> bytes:
    """Bits, numbers, blocks."""
    out = bytearray(data or b"\0")
    place = rng.randrange(len(out))
    other = rng.randrange(len(out))
    length = min(rng.choice((1, 2, 4, 8, 16, 64, 512)), len(out) - place)
    match rng.randrange(9):
        case 0:
            for at in rng.choices(range(len(out)), k=rng.choice((1, 1, 3, 20))):
                out[at] ^= 1 << rng.randrange(8)
        case 1 | 2:
            size = rng.choice((1, 2, 4, 8))
            place -= place % size
            number = rng.choice(NUMBERS) % (1 << 8 * size)
            out[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))
        case 3:
            del out[place : place + length]
        case 4:
            out[place:place] = out[other : other + length] * rng.choice((1, 1, 2, 100))
        case 5:
            out[place : place + length] = out[other : other + length]
        case 6:
            del out[place:]
        case 7:
            out += rng.randbytes(length)
        case _:
            out[place : place + length] = rng.randbytes(length)
    return bytes(out)


def _text(data: bytes, rng: Random, _: Path) -> bytes:
    """Numbers and fields of text, and lines."""
    lines = data.split(b"\n")
    n = rng.randrange(len(lines))
    word = rng.choice(WORDS).encode("utf-8", "surrogatepass")
    match rng.randrange(6):
        case 0:
            found = list(_NUMBER.finditer(data))
            chosen = rng.choice(found)
            return data[: chosen.start()] + word + data[chosen.end() :]
        case 1:
            fields = re.split(rb"([,;:\s])", lines[n])
            fields[rng.randrange(len(fields))] = word
            lines[n] = b"".join(fields)
        case 2:
            lines[n:n] = [lines[rng.randrange(len(lines))]] * rng.choice((1, 3, 2000))
        case 3:
            del lines[n]
        case 4:
            lines[n] = rng.choice((b",", b";", b"\t", b" ", b'"')) * rng.choice((1, 10, 30_000))
        case _:
            encoding = rng.choice(("utf-16", "utf-8-sig", "utf-32", "latin-1"))
            return data.decode("latin-1").encode(encoding)
    return b"\n".join(lines)


def _in_tree(tree: Any, rng: Random) -> Any:
    """A tree of lists and mappings with one place in it changed."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    holder = [tree]
    walk(holder)
    node, key = rng.choice(places)
    match rng.randrange(8):
        case 0 if node is not holder:
            del node[key]
        case 1:
            node[key] = [node[key]]
        case 2:
            node[key] = {str(key): node[key]}
        case 3:
            other, which = rng.choice(places)
            node[key] = json.loads(json.dumps(other[which]))
        case 4 if isinstance(node, dict):
            node[rng.choice(WORDS)] = node.pop(key)
        case 5 if isinstance(node[key], list) and node[key]:
            node[key] = node[key] * rng.choice((2, 50, 3000))
        case 6 if isinstance(node, dict):
            node |= {f"{key}{n}": node[key] for n in range(rng.choice((2, 50, 3000)))}
        case _:
            node[key] = rng.choice(VALUES)
    return holder[0]


def _json(data: bytes, rng: Random, scratch: Path) -> bytes:
    """JSON, or a line of it each."""
    if rng.random() < 0.1:
        return rng.choice(LONG_JSON)
    if rng.random() < 0.2:
        return _text(data, rng, scratch)
    try:
        return json.dumps(_in_tree(json.loads(data), rng)).encode("utf-8", "surrogatepass")
    except json.JSONDecodeError:
        lines = data.splitlines()
        n = rng.randrange(len(lines))
        lines[n] = json.dumps(_in_tree(json.loads(lines[n]), rng)).encode()
        return b"\n".join(lines) + b"\n"


def _yaml(data: bytes, rng: Random, scratch: Path) -> bytes:
    if rng.random() < 0.4:
        return _text(data, rng, scratch)
    tree = _in_tree(yaml.safe_load(data), rng)
    return yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")


def _gzip(data: bytes, rng: Random, scratch: Path) -> bytes:
    content = gzip.decompress(data)
    if rng.random() < 0.1:
        content += bytes(rng.choice((1 << 20, 1 << 26)))
    return gzip.compress(_bytes(content, rng, scratch), 1)


def _zip(data: bytes, rng: Random, scratch: Path) -> bytes:
    """An `.npz`: one of its arrays, or the list of them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    n = rng.randrange(len(members))
    name, content = members[n]
    match rng.randrange(6):
        case 0:
            del members[n]
        case 1:
            members[n] = (rng.choice(("", "../x.npy", "x.npy", "a" * 300, "t.npy")), content)
        case 2:
            members.append((name + "2", members[rng.randrange(len(members))][1]))
        case _:
            members[n] = (name, _npy(content, rng, scratch))
    out = io.BytesIO()
    with zipfile.ZipFile(
        out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as archive:
        for name, content in dict(members).items():
            archive.writestr(name, content)
    return out.getvalue()


def _npy(data: bytes, rng: Random, scratch: Path) -> bytes:
    """The header of an array, or an array of another kind."""
    file = io.BytesIO(data)
    np.lib.format.read_magic(file)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    content = file.read()
    descr = np.lib.format.dtype_to_descr(dtype)
    header: dict[str, Any] = {"descr": descr, "fortran_order": fortran, "shape": shape}
    match rng.randrange(6):
        case 0:
            sides = list(shape) or [1]
            sides[rng.randrange(len(sides))] = rng.choice(NUMBERS)
            header["shape"] = tuple(sides)
        case 1:
            header["descr"] = rng.choice(
                (*DTYPES, "O", "V8", "M8[s]", [("t", "i8", (3,)), ("x", "O")])
            )
        case 2:
            header[rng.choice(list(header))] = rng.choice(VALUES)
        case 3:  # zeros or ones, which pack to next to nothing
            kind, size = np.dtype(rng.choice(("?", "u1", "i8", "f8"))), _HUGE + 1
            while size > _HUGE:
                ones = (0, 1, 2, 4, 64, 1000, 1 << 18)
                sides = [rng.choice(ones) for _ in range(rng.randrange(5))]
                size = math.prod(sides) * kind.itemsize
            header = {
                "descr": kind.str,
                "fortran_order": bool(rng.randrange(2)),
                "shape": tuple(sides),
            }
            content = (b"\0" if rng.random() < 0.3 else b"\1") * size
        case 4:
            content = _bytes(content, rng, scratch)
        case _:
            content = rng.choice((b"\xff", b"\x7f", b"\0")) * len(content)
    text = repr(header).encode("utf-8", "replace") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) & 0xFFFF) + text + content


def _mat(data: bytes, rng: Random, scratch: Path) -> bytes:
    """The words of a MATLAB file, unpacked and packed again."""
    parts, place = [data[:128]], 128
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<II", data, place)
        content = data[place + 8 : place + 8 + size]
        element = zlib.decompress(content) if kind == 15 else data[place : place + 8 + size]
        parts.append(element)
        place += 8 + size
    if rng.random() < 0.1:  # many numbers, or many cells
        parts.append(_large_matrix(rng))
    n = rng.randrange(1, len(parts))
    words = bytearray(parts[n])
    at = 4 * rng.randrange(max(1, min(len(words) // 4, 64)))
    match rng.randrange(5):
        case 0 | 1:
            struct.pack_into("<I", words, at, rng.choice((*range(20), *NUMBERS)) % (1 << 32))
        case 2:
            words[at : at + 8] = words[at : at + 8] * rng.choice((0, 2, 100))
        case 3:  # one in the other
            words = bytearray(struct.pack("<II", 14, len(words)) + words)
        case _:
            words = bytearray(_bytes(bytes(words), rng, scratch))
    parts[n] = bytes(words)
    if rng.random() < 0.5:
        parts[1:] = [struct.pack("<II", 15, len(p)) + p for p in map(zlib.compress, parts[1:])]
    return b"".join(parts)


def _large_matrix(rng: Random) -> bytes:
    """A variable that a reader looks for, of ones or of empty cells."""
    name = rng.choice((b"spiketrain", b"TD", b"t", b"x"))
    cells, count = rng.random() < 0.5, rng.choice((1000, 30_000, 1 << 20, 1 << 23))
    inner = struct.pack("<II", 14, 0) if cells else b"\1\1\1\1\1\1\1\1"
    content = inner * min(count, _HUGE // 8)
    if not cells:
        content = struct.pack("<II", 2, len(content)) + content
    body = (
        struct.pack("<IIII", 6, 8, 1 if cells else 9, 0)
        + struct.pack("<IIII", 5, 8, 8 if not cells else 1, count)
        + struct.pack("<II", 1, len(name)) + name + bytes(-len(name) % 8) + content
    )  # fmt: skip
    return struct.pack("<II", 14, len(body)) + body


def _hdf5(data: bytes, rng: Random, scratch: Path) -> bytes:
    """A dataset of another kind, a link, a group in a second place."""
    scratch.write_bytes(data)
    with h5py.File(scratch, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = rng.choice(names)
        match rng.randrange(9):
            case 0:
                del file[name]
            case 1:
                shape = tuple(rng.choice((0, 1, 3, 1000, 1 << 20)) for _ in range(rng.randrange(4)))
                del file[name]
                chunks = tuple(max(1, min(64, n)) for n in shape) or None
                file.create_dataset(name, shape, rng.choice(DTYPES[:-1]), chunks=chunks)
            case 2:
                del file[name]
                value = rng.choice(VALUES)
                file[name] = value if isinstance(value, int | float | str | list) else "x"
            case 3:
                file[f"{name}_2"] = file[name]
            case 4:
                group = file[name] if isinstance(file[name], h5py.Group) else file
                group["again"] = file[rng.choice(names)]
            case 5:
                file[f"{name}_3"] = rng.choice((h5py.SoftLink("/x"), h5py.ExternalLink("x", "/")))
            case 6 | 7:  # much that packs to little, or to nothing
                count, filled = rng.choice((1 << 16, 1 << 22, 1 << 25, 1 << 28)), rng.random() < 0.4
                names = [rng.choice(names), *(n for n in names if n.rpartition("/")[2] in COLUMNS)]
                kind = rng.choice((*DTYPES[:-1], h5py.vlen_dtype(np.uint16)))
                for each in set(names[: rng.choice((1, 3))]):
                    del file[each]
                    solid = filled and count <= 1 << 22 and kind in DTYPES[:3]
                    content = {"data": np.ones(count, kind)} if solid else {"dtype": kind}
                    chunks = (min(count, 1 << 18),)
                    file.create_dataset(each, (count,), chunks=chunks, compression=1, **content)
            case _ if file[name].size <= 1 << 22:  # what an earlier change made may be larger
                array = np.asarray(file[name][()])
                del file[name]
                file[name] = (array * rng.choice((-1, 0, 1 << 20))).astype(rng.choice(DTYPES[:4]))
    return scratch.read_bytes()


def _pickle(data: bytes, rng: Random, scratch: Path) -> bytes:
    """Instructions left out, said twice, moved; their arguments."""
    packed = data[:2] == b"\x1f\x8b"
    content = gzip.decompress(data) if packed else data
    starts = [place for _, _, place in pickletools.genops(content) if place is not None]
    parts = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    n, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(6):
        case 0:
            del parts[n]
        case 1:
            parts[n:n] = parts[other : other + rng.choice((1, 3, 20))]
        case 2:
            parts[n], parts[other] = parts[other], parts[n]
        case 3:
            parts[n:n] = [rng.choice(INSTRUCTIONS) * rng.choice((1, 1, 2, 5000))]
        case 4:
            parts[n] = parts[n][:1] + _bytes(parts[n][1:], rng, scratch)
        case _:  # a list of the one before, twice, again and again
            parts[-1:] = [
                b"".join(b"(h\x01h\x01lr\x01\0\0\0" for _ in range(rng.choice((3, 60)))),
                b".",
            ]
    content = b"".join(parts)
    return gzip.compress(content, 1) if packed else content


def _safetensors(data: bytes, rng: Random, _: Path) -> bytes:
    """The header, which is JSON behind its length, and JSON in it."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    inner = header.get("__metadata__", {})
    key = rng.choice([*inner, None])
    try:
        inner[key] = json.dumps(_in_tree(json.loads(inner[key]), rng))
    except (KeyError, ValueError, TypeError):
        header = _in_tree(header, rng)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _aedat4(data: bytes, rng: Random, scratch: Path) -> bytes:
    """What is in the first packet, packed again."""
    import lz4.frame
    import zstandard

    begin = len(b"#!AER-DAT4.0\r\n")
    (size,) = struct.unpack_from("<I", data, begin)
    head, place = data[: begin + 4 + size], begin + 4 + size
    stream, _ = struct.unpack_from("<ii", data, place)
    packed = data[place + 8 :]
    frame = packed[:4] == b"\x04\x22\x4d\x18"
    unpack = lz4.frame.decompress if frame else zstandard.ZstdDecompressor().decompress
    content = _bytes(unpack(packed), rng, scratch)
    if rng.random() < 0.1:
        content += bytes(1 << 26)
    packed = lz4.frame.compress(content) if frame else zstandard.compress(content)
    return head + struct.pack("<ii", stream, len(packed)) + packed * rng.choice((1, 1, 1, 50))


Change = Callable[[bytes, Random, Path], bytes]

STRUCTURES: dict[str, Change] = {
    "text": _text, "json": _json, "yaml": _yaml, "gzip": _gzip, "zip": _zip, "npy": _npy,
    "mat": _mat, "hdf5": _hdf5, "pickle": _pickle, "safetensors": _safetensors, "aedat4": _aedat4,
}  # fmt: skip
