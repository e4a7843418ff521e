"""An operator, for the tests: a history, a key that signs, and the bundles and proofs that follow from them.

It shares with `verify.py` how one record becomes a leaf, and nothing else.
"""

import base64
import copy
import hashlib
import json
import random
import uuid

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import verify


# ---- The tree once more, as RFC 6962 defines it: recursively, over all leaves.

def root_of(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = largest_power_below(len(leaves))
    return hashlib.sha256(b"\x01" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


def largest_power_below(size):
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def inclusion(index, leaves):
    if len(leaves) == 1:
        return []
    half = largest_power_below(len(leaves))
    if index < half:
        return inclusion(index, leaves[:half]) + [root_of(leaves[half:])]
    return inclusion(index - half, leaves[half:]) + [root_of(leaves[:half])]


def consistency(old_size, leaves, whole=True):
    if old_size == len(leaves):
        return [] if whole else [root_of(leaves)]
    half = largest_power_below(len(leaves))
    if old_size <= half:
        return consistency(old_size, leaves[:half], whole) + [root_of(leaves[half:])]
    return consistency(old_size - half, leaves[half:], False) + [root_of(leaves[:half])]


def beside(first, end, leaves, low=0):
    """The hashes of a range proof: left of the range, right of it."""
    high = low + len(leaves)
    if high <= first:
        return [root_of(leaves)], []
    if end <= low:
        return [], [root_of(leaves)]
    if first <= low and high <= end:
        return [], []
    half = largest_power_below(len(leaves))
    left, right = beside(first, end, leaves[:half], low), beside(first, end, leaves[half:], low + half)
    return left[0] + right[0], left[1] + right[1]


# ---- An operator: a history of one association, and a key.

def encoded(data):
    return base64.b64encode(data).decode()


class Signer:
    def __init__(self, seed, name="guildhall"):
        self.name, self.key = name, Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
        raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.hash = hashlib.sha256(name.encode() + b"\n\x01" + raw).digest()[:4]
        self.vkey = f"{name}+{self.hash.hex()}+{encoded(bytes([1]) + raw)}"

    def line(self, body):
        return f"\u2014 {self.name} {encoded(self.hash + self.key.sign(body.encode()))}\n"


CLERK, SUCCESSOR, STRANGER = Signer(b"clerk"), Signer(b"successor"), Signer(b"stranger")
SLUG = "old-mint"
TENANT = verify.tenant_of(SLUG.encode())
START = 1_800_000_000_000_000
MINUTE = 60_000_000


def history(count, seed=1):
    """Records of three streams, with other associations' records between them, one a minute."""
    source, position, versions, records = random.Random(seed), 0, {}, []
    for index in range(count):
        position += source.randint(1, 3)
        stream = str(uuid.UUID(int=source.randint(1, 3)))
        versions[stream] = versions.get(stream, 0) + 1
        records.append({
            "index": index, "position": position, "category": "member", "stream_id": stream,
            "version": versions[stream], "event_id": str(uuid.UUID(int=1000 + index)), "type": "NoteAdded",
            "schema_version": 1, "command_id": str(uuid.UUID(int=2000 + index)),
            "recorded_at_micros": START + index * MINUTE, "metadata": "{\"command\":\"AddNote\"}",
            "payload": json.dumps({"note": f"n\u00famero {index} \U0001f3db"}, ensure_ascii=False),
        })
    return records


def leaves_of(records, tenant=TENANT):
    shape = verify.RECORD
    return [verify.record_leaf(tenant, verify.fields(record, shape)) for record in records]


def checkpoint(records, signers=(CLERK,), tenant=TENANT, root=None):
    root = root or root_of(leaves_of(records, tenant))
    body = f"guildhall/{tenant}\n{len(records)}\n{encoded(root)}\nposition {records[-1]['position']}\n"
    return body + "\n" + "".join(signer.line(body) for signer in signers)


def rfc3339(micros):
    return verify.datetime.fromtimestamp(micros / 1_000_000, verify.timezone.utc).isoformat()


def bundle(records, first=0, end=None, old=None, start=None, stop=None, edges=(False, False), signers=(CLERK,)):
    """What the operator writes: lines, as objects."""
    end, leaves = len(records) if end is None else end, leaves_of(records)
    header = {
        "format": "guildhall-bundle/v1", "association": {"tenant_id": str(TENANT), "slug": SLUG},
        "from": start and rfc3339(start), "to": stop and rfc3339(stop), "first_index": first, "count": end - first,
        "edges": dict(zip(("before", "after"), edges)), "tree_size": len(records),
        "created_at": "2027-01-15T08:00:00.123456Z",
    }
    left, right = beside(first, end, leaves)
    lines = [header, {"checkpoint": checkpoint(records, signers)}]
    if old:
        proof = [encoded(entry) for entry in consistency(old, leaves)]
        lines.append({"consistency": {"old_checkpoint": checkpoint(records[:old]), "proof": proof}})
    lines.append({"range_proof": {"left": [encoded(e) for e in left], "right": [encoded(e) for e in right]}})
    lines += [{"record": record} for record in records[first:end]]
    return copy.deepcopy(lines + [{"end": {"count": end - first}}])


def dated(records, first, end, **more):
    """The records of [first, end), by their times, with a neighbour on each side."""
    start, stop = START + first * MINUTE, START + end * MINUTE
    return bundle(records, first - 1, end + 1, start=start, stop=stop, edges=(True, True), **more)


def proof(records, index):
    return {
        "format": "guildhall-proof/v1", "association": {"tenant_id": str(TENANT)}, "checkpoint": checkpoint(records),
        "record": records[index], "proof": [encoded(entry) for entry in inclusion(index, leaves_of(records))],
    }


def text_of(lines):
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
