"""What `verify.py` believes, and what it does not. Run by `python3 -m unittest` in this folder."""

import copy
import io
import json
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path

import verify
from clerk import (
    CLERK, MINUTE, START, STRANGER, SUCCESSOR, beside, bundle, checkpoint, consistency, dated, encoded, history,
    inclusion, proof, rfc3339, root_of, text_of,
)

SAMPLE = Path(__file__).parent / "sample"


class Case(unittest.TestCase):
    def judge(self, content, *options, command="bundle", key=CLERK.vkey):
        """Runs the program as a person does, and gives its exit code and what it said."""
        content = text_of(content) if type(content) is list else content
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()) as said:
            path = Path(folder, "given")
            path.write_bytes(content)
            arguments = [command, str(path), "--key", key]
            for number, option in enumerate(options):
                kept = Path(folder, f"kept{number}")
                kept.write_text(option, encoding="utf-8")
                arguments += ["--checkpoint", str(kept)]
            code = verify.main(arguments)
        return code, said.getvalue()

    def holds(self, content, *options, **more):
        code, said = self.judge(content, *options, **more)
        self.assertEqual(code, 0, said)
        return said

    def fails(self, content, words, *options, code=1, **more):
        found, said = self.judge(content, *options, **more)
        self.assertEqual(found, code, said)
        self.assertIn(words, said)
        self.assertEqual(said.count("\n"), 1, "one verdict")


class Trees(unittest.TestCase):
    def test_the_known_trees_have_their_known_roots(self):
        inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
        roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        tree = verify.Tree()
        for data, root in zip(inputs, roots):
            tree.push(1, verify.leaf_hash(bytes.fromhex(data)))
            self.assertEqual(tree.root().hex(), root)

    def test_every_proof_of_every_small_tree_holds_and_no_other(self):
        leaves = [verify.leaf_hash(bytes([n])) for n in range(34)]
        for size in range(1, len(leaves) + 1):
            root = root_of(leaves[:size])
            for index in range(size):
                path = inclusion(index, leaves[:size])
                self.assertEqual(verify.root_by_inclusion(leaves[index], index, size, path), root)
                self.assertNotEqual(verify.root_by_inclusion(bytes(32), index, size, path), root)
                for wrong in (path + [root], path[1:] if path else [root]):
                    with self.assertRaises(verify.NotAsSigned):
                        verify.root_by_inclusion(leaves[index], index, size, wrong)
                if index and len(path) == len(inclusion(index - 1, leaves[:size])):
                    self.assertNotEqual(verify.root_by_inclusion(leaves[index], index - 1, size, path), root)
            for old in range(1, size + 1):
                old_root, path = root_of(leaves[:old]), consistency(old, leaves[:size])
                self.assertEqual(verify.roots_by_consistency(old, size, path, old_root), (old_root, root))
                for wrong in (path + [root], path[1:] if path else [root]):
                    with self.assertRaises(verify.NotAsSigned):
                        verify.roots_by_consistency(old, size, wrong, old_root)
                for place in range(len(path)):
                    forged = [*path[:place], bytes(32), *path[place + 1:]]
                    self.assertNotEqual(verify.roots_by_consistency(old, size, forged, old_root), (old_root, root))

    def test_a_tree_grows_by_whole_subtrees_as_by_leaves(self):
        leaves = [verify.leaf_hash(bytes([n])) for n in range(21)]
        for first in range(22):
            for end in range(first, 22):
                tree, (left, right) = verify.Tree(), beside(first, end, leaves)
                for subtree in zip(verify.subtrees(0, first, 0, 21), left):
                    tree.push(*subtree)
                for leaf in leaves[first:end]:
                    tree.push(1, leaf)
                for subtree in zip(verify.subtrees(end, 21, 0, 21), right):
                    tree.push(*subtree)
                self.assertEqual((tree.size, tree.root()), (21, root_of(leaves)))


class Bundles(Case):
    records = history(23)

    def test_a_whole_history_holds_and_so_does_every_run_of_it(self):
        self.assertIn("no checkpoint from earlier", self.holds(bundle(self.records)))
        self.assertIn("those from 2027-01-15T08:10:00", self.holds(dated(self.records, 10, 12)))
        for first in range(1, 22, 3):
            for end in range(first, 22, 4):
                self.holds(dated(self.records, first, end))
        since = START + 7 * MINUTE
        self.holds(bundle(self.records, 6, start=since, edges=(True, False)))
        self.holds(bundle(self.records, 0, 8, stop=since, edges=(False, True)))

    def test_a_bundle_goes_on_from_every_checkpoint_that_was_kept(self):
        kept = [checkpoint(self.records[:size]) for size in (1, 8, 13, 23)]
        self.holds(bundle(self.records), "".join(kept))
        self.assertIn("you kept (4)", self.holds(bundle(self.records), *kept))
        self.holds(dated(self.records, 10, 14, old=5), checkpoint(self.records[:5]))
        self.holds(dated(self.records, 10, 14), checkpoint(self.records[:12]))

    def test_what_cannot_be_compared_is_not_called_fine(self):
        self.fails(dated(self.records, 10, 14), "--consistent-with", checkpoint(self.records[:5]), code=2)
        self.fails(bundle(self.records[:20]), "23 records", checkpoint(self.records))

    def test_a_history_that_was_rewritten_is_found_by_what_was_kept(self):
        rewritten = copy.deepcopy(self.records)
        rewritten[9]["payload"] = "{}"
        kept = [checkpoint(self.records[:size]) for size in (4, 8, 13, 20)]
        self.holds(bundle(rewritten))
        self.fails(bundle(rewritten), "index 8 to 12", *kept)
        self.fails(bundle(rewritten), "were signed, and differ", checkpoint(self.records))
        self.fails(dated(rewritten, 12, 20, old=5), "were signed, and differ",
                   checkpoint([*self.records[:4], {**self.records[4], "type": "Other"}]))
        forged = bundle(self.records, old=13)
        forged[2]["consistency"]["proof"][0] = encoded(bytes(32))
        self.fails(forged, "are not the first")

    def test_two_keys_may_sign_and_either_is_enough(self):
        both = bundle(self.records, signers=(CLERK, SUCCESSOR))
        self.holds(both)
        self.holds(both, key=SUCCESSOR.vkey)
        self.fails(both, "no key you trust", key=STRANGER.vkey)
        self.fails(bundle(self.records), "mistyped", code=2, key=CLERK.vkey.replace("+f", "+0"))

    def test_a_forged_signature_is_found_and_others_are_passed_over(self):
        note = checkpoint(self.records, (STRANGER, CLERK))
        lines = bundle(self.records)
        lines[1] = {"checkpoint": f"{note}\u2014 witness.example/w1 {encoded(bytes(76))}\n"}
        self.holds(lines)
        body, signature = checkpoint(self.records).split("\n\n")
        lines[1] = {"checkpoint": body.replace("position", "Position") + "\n\n" + signature}
        self.fails(lines, "does not hold")

    def test_records_out_of_order_missing_or_doubled_are_named(self):
        for change, words in (
            (lambda lines: lines.pop(8), "index 5 is missing"),
            (lambda lines: lines.pop(-2), "index 22 is missing"),
            (lambda lines: lines.insert(8, lines[8]), "index 6 is missing; index 5"),
            (lambda lines: lines.__setitem__(slice(8, 10), [lines[9], lines[8]]), "index 5 is missing"),
            (lambda lines: lines[8]["record"].update(version=9), "version 9 of its stream follows"),
            (lambda lines: lines[8]["record"].update(position=3), "positions do not go up"),
            (lambda lines: lines[8]["record"].update(payload="{}"), "index 0 to 22"),
        ):
            lines = bundle(self.records)
            change(lines)
            self.fails(lines, words)

    def test_the_edges_of_a_dated_range_are_shown_by_neighbours(self):
        moved = dated(self.records, 8, 14)
        for name, minute in (("from", 7), ("from", 9), ("to", 13), ("to", 15)):
            lines = copy.deepcopy(moved)
            lines[0][name] = rfc3339(START + minute * MINUTE)
            self.fails(lines, "edge")
        self.fails(bundle(self.records, 8, 14, start=START + 8 * MINUTE, edges=(False, False)), "left out")
        self.fails(bundle(self.records, 0, 14), "left out")
        self.fails(bundle(self.records, 3, 23), "left out")

    def test_the_association_is_the_one_that_was_signed(self):
        lines = bundle(self.records)
        lines[0]["association"]["slug"] = "lakeside"
        self.fails(lines, "not the association 'lakeside'")
        other = verify.tenant_of(b"lakeside")
        lines[0]["association"]["tenant_id"] = str(other)
        self.fails(lines, "another association")
        self.fails(bundle(self.records), "another association", checkpoint(self.records[:4], tenant=other))

    def test_a_file_that_is_not_a_whole_bundle_is_unusable(self):
        good, lines = text_of(bundle(self.records)), bundle(self.records)
        for content, words in (
            (b"", "no guildhall-bundle/v1"),
            (good.replace(b"bundle/v1", b"bundle/v2"), "no guildhall-bundle/v1"),
            (good[:-1], "cut off"),
            (text_of(lines[:-1]), "not complete"),
            (text_of(lines[:5])[:-9], "cut off"),
            (good + b"{}\n", "after the last record"),
            (text_of([lines[0], {}, *lines[1:]]), "should have"),
            (text_of([*lines[:2], {}, *lines[2:]]), "should have"),
            (text_of([*lines[:4], {}, *lines[4:]]), "should have"),
            (good + b"\n", "not JSON"),
            (good + b"null\n", "no object"),
            (good.replace(b'"index": 5', b'"index": 5, "index": 5'), "twice"),
            (good.replace(b'"index": 5', b'"index": 5.0'), "no integer"),
            (good.replace(b'"index": 5', b'"index": true'), "no integer"),
            (good.replace(b'"index": 5', b'"index": NaN'), "no integer"),
            (good.replace(b'"index": 5', b'"index": 5, "more": 1'), "should have"),
            (good.replace(b'"index": 5', b'"index": ' + b"9" * 5000), ""),
            (good.replace(b"AddNote", b"\xff"), "not JSON"),
            (good.replace(b"AddNote", b"\\ud800"), "no text"),
            (b"[" * 100_000 + b"\n", "not JSON"),
            (b" " * verify.MAX_BYTES + b"\n", "longer"),
        ):
            self.fails(content, words, code=2)
        self.fails(lines, "no checkpoint", "not a note\n", code=2)
        self.fails(lines, "no key you trust", checkpoint(self.records, (STRANGER,)), code=2)
        with redirect_stdout(io.StringIO()):
            self.assertEqual(verify.main(["bundle", "/nowhere/at/all", "--key", CLERK.vkey]), 2)


def leaves_of_json(value, path=()):
    """Where single values stand in a JSON value."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves_of_json(inner, (*path, key))
    else:
        yield path, value


def others(value):
    """Values that are not this one but could stand in its place."""
    if value is None or isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, value ^ 1 << 20]
    changed = [value + "x", value[1:], ""]
    for place in {0, len(value) // 2, len(value) - 1}:
        changed.append(value[:place] + ("b" if value[place] == "a" else "a") + value[place + 1:])
    return changed


class EveryField(Case):
    def every_change_fails(self, lines, but=(), command="bundle", key=CLERK.vkey):
        self.holds(lines, command=command, key=key)
        for number, line in enumerate(lines):
            for path, value in leaves_of_json(line):
                for other in others(value) if path not in but else ():
                    forged = copy.deepcopy(lines)
                    inner = forged[number]
                    for step in path[:-1]:
                        inner = inner[step]
                    inner[path[-1]] = other
                    code, said = self.judge(forged, command=command, key=key)
                    self.assertIn(code, (1, 2), f"{path} {value!r} -> {other!r} in line {number + 1}: {said}")

    # When the file was written is said and not signed. Other tests move the edges of a dated range.
    def test_no_field_of_a_bundle_can_be_changed(self):
        self.every_change_fails(bundle(history(5), old=3), but=[("created_at",)])

    def test_no_field_of_a_dated_bundle_can_be_changed(self):
        self.every_change_fails(dated(history(9), 3, 6), but=[("created_at",), ("from",), ("to",)])

    def test_no_field_of_what_the_program_wrote_can_be_changed(self):
        def lines_of(name):
            return [json.loads(line) for line in (SAMPLE / name).read_text(encoding="utf-8").splitlines()]

        key = (SAMPLE / "keys.txt").read_text(encoding="utf-8").split()[0]
        self.every_change_fails(lines_of("bundle.ndjson"), but=[("created_at",)], key=key)
        self.every_change_fails(lines_of("proof.json"), command="prove", key=key)
        kept = (SAMPLE / "earlier.checkpoint").read_text(encoding="utf-8")
        self.assertIn("you kept (1)", self.holds(lines_of("bundle.ndjson"), kept, key=key))

    def test_no_field_of_a_proof_can_be_changed(self):
        self.every_change_fails([proof(history(9), 4)], command="prove")


class Proofs(Case):
    def test_every_record_can_be_proved_and_only_to_who_trusts_the_key(self):
        records = history(9)
        for index in range(9):
            self.assertIn(records[index]["event_id"], self.holds([proof(records, index)], command="prove"))
        self.fails([proof(records, 4)], "no key you trust", key=STRANGER.vkey, command="prove")
        self.fails([proof(records, 4)] * 2, "not JSON", code=2, command="prove")
        self.fails(bundle(records)[:1], "no guildhall-proof/v1", code=2, command="prove")
        self.fails([proof(records, 4)], "no guildhall-bundle/v1", code=2)


if __name__ == "__main__":
    unittest.main()
