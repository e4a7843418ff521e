#!/usr/bin/env python3
"""Checks offline what Guildhall gives an auditor: a bundle of records, or the proof of one record.

It trusts neither the database nor whoever runs it, only the verifier keys you give it, and reads nothing but the files
you name. It needs Python 3.9 and the package `cryptography`; README.md says how to use it.

Exit codes: 0 all is as signed, 1 something is not as signed, 2 the input cannot be used.
"""
import argparse
import base64
import hashlib
import json
import os
import re
import sys
import uuid
from datetime import datetime, timedelta, timezone

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("UNUSABLE: Python's package `cryptography` is missing. Install Debian's python3-cryptography, "
          "or run `pip install cryptography`.")
    sys.exit(2)

MAX_BYTES = 8 * 1024 * 1024  # of one JSON value; no record comes near it


class NotAsSigned(Exception):
    """The file contradicts what was signed, or itself."""


class Unusable(Exception):
    """The input says nothing either way: it is damaged, incomplete or of another format."""


def require(holds, what):
    if not holds:
        raise NotAsSigned(what)


def expect(holds, what):
    if not holds:
        raise Unusable(what)


# ---- The tree of RFC 6962, section 2.1: SHA-256; leaves and nodes are told apart by their first byte.

def leaf_hash(data):
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def left_part(size):
    """How many leaves stand in the left half of a tree: the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


class Tree:
    """Grows to the right, and keeps only the roots of its complete subtrees."""

    def __init__(self):
        self.size, self.stack = 0, []

    def push(self, size, root):
        """Adds a leaf (`size` 1), or a whole subtree of which only the root is known."""
        self.size += size
        while self.stack and self.stack[-1][0] == size:
            root, size = node_hash(self.stack.pop()[1], root), 2 * size
        self.stack.append((size, root))

    def root(self):
        root = self.stack[-1][1]
        for _, left in reversed(self.stack[:-1]):
            root = node_hash(left, root)
        return root


def subtrees(first, end, low, high):
    """Sizes of the largest subtrees of the tree over [low, high) that together have the leaves [first, end)."""
    if end <= low or high <= first:
        return []
    if first <= low and high <= end:
        return [high - low]
    middle = low + left_part(high - low)
    return subtrees(first, end, low, middle) + subtrees(first, end, middle, high)


def root_by_inclusion(leaf, index, size, path):
    """The root of the tree of `size` leaves that has `leaf` at `index`."""
    require(bool(path) == (size > 1), "a proof has a wrong number of hashes")
    if size == 1:
        return leaf
    half = left_part(size)
    if index < half:
        return node_hash(root_by_inclusion(leaf, index, half, path[:-1]), path[-1])
    return node_hash(path[-1], root_by_inclusion(leaf, index - half, size - half, path[:-1]))


def roots_by_consistency(old_size, size, path, old_root=None):
    """The roots of the first `old_size` leaves and of all. `old_root` is passed down while those leaves begin where the
    tree does: then the proof leaves their root out."""
    if old_size == size:
        require(len(path) == (old_root is None), "a proof has a wrong number of hashes")
        return (old_root or path[0],) * 2
    require(path, "a proof has a wrong number of hashes")
    half = left_part(size)
    if old_size <= half:
        old, new = roots_by_consistency(old_size, half, path[:-1], old_root)
        return old, node_hash(new, path[-1])
    old, new = roots_by_consistency(old_size - half, size - half, path[:-1])
    return node_hash(path[-1], old), node_hash(path[-1], new)


# ---- Values, each in the one form it may have.

def integer(low, high):
    def parse(value):
        expect(type(value) is int and low <= value < high, f"{value!r} is no integer from {low} to {high - 1}")
        return value
    return parse


def boolean(value):
    expect(type(value) is bool, f"{value!r} is neither true nor false")
    return value


def text(value):
    """As the bytes that it is in UTF-8."""
    expect(type(value) is str and not re.search("[\ud800-\udfff]", value), f"{value!r} is no text")
    return value.encode()


def identifier(value):
    expect(re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text(value).decode()), f"{value!r} is no UUID")
    return uuid.UUID(value)


def binary(value, length=32):
    try:
        parsed = base64.b64decode(text(value), validate=True)
    except ValueError:
        parsed = b""
    whole = len(parsed) == length and base64.b64encode(parsed) == text(value)
    expect(whole, f"{value!r} is not {length} bytes in base64")
    return parsed


def hashes(value):
    expect(type(value) is list and len(value) <= 128, "a proof is no list of at most 128 hashes")
    return [binary(entry) for entry in value]


def moment(value):
    """A time of RFC 3339 as nanoseconds since 1970; None stays None."""
    if value is None:
        return None
    form = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-]\d\d:\d\d))"
    match = re.fullmatch(form, text(value).decode(), re.ASCII)
    try:
        whole = datetime.fromisoformat(match[1] + (match[3] or "+00:00")) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    except (TypeError, ValueError):
        raise Unusable(f"{value!r} is no time of RFC 3339") from None
    return whole // timedelta(seconds=1) * 10**9 + int((match[2] or "").ljust(9, "0"))


def fields(value, shape):
    """An object with exactly these fields. A shape is a function that parses a value, or an object of shapes."""
    if callable(shape):
        return shape(value)
    expect(type(value) is dict and value.keys() == shape.keys(), f"{str(value)[:60]!r} should have {sorted(shape)}")
    return {name: fields(value[name], inner) for name, inner in shape.items()}


def json_object(data, what):
    """An object, without JSON's looser habits."""
    def pairs(found):
        expect(len(dict(found)) == len(found), f"{what} names a field twice")
        return dict(found)

    try:
        value = json.loads(data.decode(), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{what} is not JSON: {error}") from None
    expect(type(value) is dict, f"{what} is no object")
    return value


def lines(file):
    """The objects of a file that has one on each line."""
    number = 0
    while line := file.readline(MAX_BYTES + 1):
        number += 1
        expect(len(line) <= MAX_BYTES, f"line {number} is longer than {MAX_BYTES} bytes")
        expect(line.endswith(b"\n"), f"line {number} is cut off; the file is not complete")
        yield json_object(line, f"line {number}")


# ---- Checkpoints: C2SP's tlog-checkpoint as a C2SP signed note, with Ed25519.

class Key:
    """Somebody whose signature you believe, given as `name+hash+key`."""

    def __init__(self, vkey):
        match = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+(\S+)", vkey)
        expect(match, f"{vkey!r} is no verifier key; one looks like `name+01234567+base64`")
        key, self.name = binary(match[3], 33), match[1]
        self.hash = hashlib.sha256(text(self.name) + b"\n" + key).digest()[:4]
        expect(key[0] == 1 and self.hash.hex() == match[2], f"{vkey!r} was mistyped, or is no key of Ed25519")
        self.public = Ed25519PublicKey.from_public_bytes(key[1:])

    def __str__(self):
        return f"{self.name}+{self.hash.hex()}"

    def has_signed(self, body, name, signature):
        """Whether a signature is of this key; one that is and does not hold is a finding."""
        if name != self.name or binary(signature, 68)[:4] != self.hash:
            return False
        try:
            self.public.verify(binary(signature, 68)[4:], body.encode())
        except InvalidSignature:
            raise NotAsSigned(f"the signature of {self} under a checkpoint does not hold") from None
        return True


NOTE = re.compile("((?:[^\n]+\n){3,64})\n((?:\u2014 [^ +\n]+ [^ \n]+\n){1,64})")


class Checkpoint:
    """What was signed of an association's history: so many records, and the root of their tree."""

    def __init__(self, note, keys):
        match = NOTE.fullmatch(note)
        expect(match, "a checkpoint is no signed note")
        origin, size, root, *self.lines = match[1][:-1].split("\n")
        program, _, tenant = origin.partition("/")
        expect(program == "guildhall" and re.fullmatch("[1-9][0-9]{0,18}", size), "a checkpoint is not of this program")
        self.tenant, self.size, self.root = identifier(tenant), int(size), binary(root)
        signatures = [line.split(" ")[1:] for line in match[2][:-1].split("\n")]
        self.signers = [str(key) for key in keys for name, signature in signatures
                        if key.has_signed(match[1], name, signature)]
        require(self.signers, f"the checkpoint over {size} records is signed by no key you trust")

    def __str__(self):
        return f"Signed by {', '.join(self.signers)} over {self.size} records; {', '.join(self.lines)}."


# ---- Records, and how each becomes a leaf of the tree.

NATURAL = integer(0, 1 << 63)
RECORD = {"index": NATURAL, "position": NATURAL, "category": text, "stream_id": identifier, "version": NATURAL,
          "event_id": identifier, "type": text, "schema_version": integer(0, 1 << 16), "command_id": identifier,
          "recorded_at_micros": integer(-1 << 63, 1 << 63), "metadata": text, "payload": text}


def record_leaf(tenant, record):
    """Position and envelope hash. The envelope is each field in this order, preceded by its length as eight bytes."""
    envelope = hashlib.sha256()
    for field in (
        b"guildhall event v1", tenant.bytes, record["category"], record["stream_id"].bytes,
        record["version"].to_bytes(8, "big"), record["event_id"].bytes, record["type"],
        record["schema_version"].to_bytes(2, "big"), record["metadata"], record["payload"],
        record["command_id"].bytes, record["recorded_at_micros"].to_bytes(8, "big", signed=True),
    ):
        envelope.update(len(field).to_bytes(8, "big") + field)
    return leaf_hash(record["position"].to_bytes(8, "big") + envelope.digest())


def tenant_of(slug):
    """An association's id follows from its short name: a UUID of version 5 of parts, each preceded by its length."""
    parts = (b"guildhall", b"association", slug)
    return uuid.uuid5(uuid.NAMESPACE_DNS, b"".join(len(part).to_bytes(8, "big") + part for part in parts).decode())


# ---- A bundle: records of one association, and the checkpoint that covers them.

HEADER = {"format": text, "association": {"tenant_id": identifier, "slug": text}, "created_at": moment,
          "from": moment, "to": moment, "edges": {"before": boolean, "after": boolean},
          "first_index": NATURAL, "count": NATURAL, "tree_size": NATURAL}


def open_header(value):
    """The first line, found to agree with itself."""
    expect(value.get("format") == "guildhall-bundle/v1", "this is no guildhall-bundle/v1")
    header = fields(value, HEADER)
    header["asked"] = " ".join(f"{name} {value[name]}" for name in ("from", "to") if value[name])
    edges, first, end = header["edges"], header["first_index"], header["first_index"] + header["count"]
    expect(end <= header["tree_size"], "the bundle goes past the end of what was signed")
    expect(header["count"] >= sum(edges.values()), "the bundle has fewer records than edges")
    for side, date, at_end in (("before", "from", first == 0), ("after", "to", end == header["tree_size"])):
        expect(header[date] is not None or not edges[side], f"there is an edge {side} the records, but no date")
        require(edges[side] or at_end, f"records {side} those of the bundle are left out, and no neighbour shows why")
    return header


class Checks:
    """What must hold from one record to the next, and of the tree they grow."""

    def __init__(self, header):
        self.header, self.tenant = header, header["association"]["tenant_id"]
        self.first, self.end = header["first_index"], header["first_index"] + header["count"]
        self.next, self.position, self.versions, self.last_inside = self.first, 0, {}, None
        self.tree, self.checkpoints, self.agreed = Tree(), {}, 0

    def watch_for(self, checkpoint):
        """The tree must have this root when it has grown to this size."""
        require(checkpoint.tenant == self.tenant, f"a checkpoint is of another association, {checkpoint.tenant}")
        other = self.checkpoints.setdefault(checkpoint.size, checkpoint)
        require(other.root == checkpoint.root, f"two checkpoints over {other.size} records were signed, and differ")

    def grow(self, size, root):
        self.tree.push(size, root)
        if checkpoint := self.checkpoints.pop(self.tree.size, None):
            require(checkpoint.root == self.tree.root(), f"the first wrong record is one of index {self.agreed} to "
                    f"{checkpoint.size - 1}: with them the tree is not what was signed over {checkpoint.size} records")
            self.agreed = checkpoint.size

    def take(self, record):
        here = f"index {record['index']}, position {record['position']}"
        require(record["index"] == self.next, f"the record of index {self.next} is missing; {here} is in its place")
        require(record["position"] > max(self.position, self.next), f"{here}: positions do not go up")
        stream = record["stream_id"].bytes + record["category"]
        before = self.versions.get(stream, record["version"] - 1 if self.first else 0)
        require(record["version"] == before + 1, f"{here}: version {record['version']} of its stream follows {before}")
        require(self.is_in_range(record["recorded_at_micros"] * 1000), f"{here}: it is on the wrong side of an edge")
        self.versions[stream], self.position, self.next = record["version"], record["position"], self.next + 1
        self.grow(1, record_leaf(self.tenant, record))

    def is_in_range(self, time):
        """A range goes from the first record at or after `from` to the last one before `to`, in the order of history;
        between them a clock may have been set back."""
        start, stop, edges = self.header["from"], self.header["to"], self.header["edges"]
        if edges["before"] and self.next == self.first:
            return time < start
        if edges["after"] and self.next == self.end - 1:
            return time >= stop and (self.last_inside is None or self.last_inside < stop)
        is_first, self.last_inside = self.last_inside is None, time
        return not is_first or start is None or time >= start

    def finish(self, proven):
        """Each checkpoint was met by the tree, or is the one whose consistency was `proven`."""
        for size in sorted(self.checkpoints.keys() - {proven}):
            require(size < self.tree.size, f"you kept a checkpoint over {size} records, and the bundle's is over "
                    f"{self.tree.size} only: the bundle is older, or history was cut off")
            raise Unusable(f"nothing compares the bundle with your checkpoint over {size} records: have one written "
                           "--consistent-with it")


def entry(value, name, shape):
    """What a line says that must be one of this name."""
    expect(value is not None, f"the file ends where its {name} should be; it is not complete")
    return fields(value, {name: shape})[name]


def check_bundle(file, keys, kept):
    entries = lines(file)
    header = open_header(next(entries, {}))
    checks, size, slug = Checks(header), header["tree_size"], header["association"]["slug"]
    require(checks.tenant == tenant_of(slug), f"{checks.tenant} is not the association {slug.decode()!r}")
    signed = Checkpoint(entry(next(entries, None), "checkpoint", text).decode(), keys)
    require(signed.size == size, f"the checkpoint is over {signed.size} records, not {size}")
    for checkpoint in (signed, *kept):
        checks.watch_for(checkpoint)

    value, proven = next(entries, None), None
    if value is not None and "consistency" in value:
        consistency = entry(value, "consistency", {"old_checkpoint": text, "proof": hashes})
        old = Checkpoint(consistency["old_checkpoint"].decode(), keys)
        checks.watch_for(old)
        roots = roots_by_consistency(old.size, size, consistency["proof"], old.root) if old.size <= size else None
        require(roots == (old.root, signed.root), f"the {old.size} records signed before are not the first of {size}")
        value, proven = next(entries, None), old.size
    proof = entry(value, "range_proof", {"left": hashes, "right": hashes})
    left, right = subtrees(0, checks.first, 0, size), subtrees(checks.end, size, 0, size)
    wanted = len(left), len(right)
    require((len(proof["left"]), len(proof["right"])) == wanted, "a proof has a wrong number of hashes")

    for subtree in zip(left, proof["left"]):
        checks.grow(*subtree)
    while checks.next < checks.end:
        value = next(entries, None)
        require(value is None or "end" not in value, f"the record of index {checks.next} is missing")
        checks.take(entry(value, "record", RECORD))
    for subtree in zip(right, proof["right"]):
        checks.grow(*subtree)
    end = entry(next(entries, None), "end", {"count": NATURAL})
    expect(end["count"] == header["count"] and next(entries, None) is None, "there is something after the last record")
    checks.finish(proven)

    yield (f"{header['count']} of {size} records of {slug.decode()} ({checks.tenant}), from index {checks.first} on: "
           "all there, in order, unaltered and as signed.")
    if header["asked"]:
        yield f"They are those {header['asked']}, and {sum(header['edges'].values())} beside them to show the edges."
    yield str(signed)
    if kept:
        yield f"History goes on from every checkpoint you kept ({len(kept)})."
    else:
        yield "You gave no checkpoint from earlier. Had all history been replaced and signed anew, it would not show."


# ---- The proof that one record is part of what was signed.

PROOF = {"format": text, "association": {"tenant_id": identifier}, "checkpoint": text, "record": RECORD,
         "proof": hashes}


def check_proof(file, keys):
    value = json_object(file.read(MAX_BYTES), "the file")
    expect(value.get("format") == "guildhall-proof/v1", "this is no guildhall-proof/v1")
    proof = fields(value, PROOF)
    record, signed = proof["record"], Checkpoint(proof["checkpoint"].decode(), keys)
    require(signed.tenant == proof["association"]["tenant_id"], f"the checkpoint is of association {signed.tenant}")
    require(record["index"] < signed.size, "the record is younger than the checkpoint")
    root = root_by_inclusion(record_leaf(signed.tenant, record), record["index"], signed.size, proof["proof"])
    require(root == signed.root, "the record is not what was signed")
    yield f"Event {record['event_id']} is at position {record['position']}, unaltered and as signed."
    yield str(signed)


def keys_of(arguments):
    """Verifier keys: each given as such, or as a file that has one at the beginning of each line."""
    for argument in arguments:
        if os.path.exists(argument):
            with open(argument, encoding="utf-8") as file:
                yield from (Key(line.split()[0]) for line in file if line.strip())
        else:
            yield Key(argument)


def checkpoints_of(paths, keys):
    """What the auditor kept: files of one checkpoint after another."""
    for path in paths:
        with open(path, encoding="utf-8", newline="") as file:
            notes, at = file.read(), 0
        while at < len(notes) or at == 0:
            match = NOTE.match(notes, at)
            expect(match, f"{path} has no checkpoint at its character {at}")
            try:
                yield Checkpoint(match[0], keys)
            except NotAsSigned as finding:
                raise Unusable(f"{path}: {finding}") from None
            at = match.end()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    bundle = commands.add_parser("bundle", help="check what `guildhall audit bundle` wrote")
    prove = commands.add_parser("prove", help="check what `guildhall audit prove` printed")
    for command in (bundle, prove):
        command.add_argument("file")
        command.add_argument("--key", nargs="+", action="extend", required=True, help="keys you trust, or their files")
    bundle.add_argument("--checkpoint", nargs="+", action="extend", default=[], help="files of checkpoints you kept")
    options = parser.parse_args(arguments)
    try:
        keys = list(keys_of(options.key))
        with open(options.file, "rb") as file:
            if options.command == "bundle":
                sentences = list(check_bundle(file, keys, list(checkpoints_of(options.checkpoint, keys))))
            else:
                sentences = list(check_proof(file, keys))
    except NotAsSigned as finding:
        print(f"NOT AS SIGNED: {finding}.")
        return 1
    except (Unusable, OSError, UnicodeDecodeError) as reason:
        print(f"UNUSABLE: {reason}.")
        return 2
    print("\n".join(("AS SIGNED.", *sentences)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
