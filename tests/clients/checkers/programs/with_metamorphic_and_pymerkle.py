# What the server hands out, checked by software that nobody here wrote: metamorphic_log reads C2SP notes and
# checkpoints and RFC 6962 proofs, pymerkle builds the tree anew from the exported lines, cryptography checks Ed25519.
# None of the checks is done by this program: it only takes files apart. What it prints is compared with expected/.
import hashlib
from base64 import b64decode, b64encode
from functools import lru_cache

import metamorphic_log
import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import ConsistencyProof, InclusionProof, InmemoryTree, verify_consistency, verify_inclusion
from pymerkle.proof import InvalidProof

conn = psycopg.connect(autocommit=True)
TALLY = {}


def query(sql, *parameters):
    return conn.execute(sql, parameters).fetchall()


def accepts(check, *arguments):
    try:
        check(*arguments)
    except (metamorphic_log.VerifyError, InvalidProof, InvalidSignature):
        return False
    return True


def expect(wanted, what, check, *arguments):
    """One verdict: a right thing must pass, a wrong one must not."""
    assert accepts(check, *arguments) == wanted, (what, wanted, arguments)
    key = ("accepted" if wanted else "refused", what)
    TALLY[key] = TALLY.get(key, 0) + 1


def flipped(data, at=0):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def tampered(path):
    """A hash more, one less, one twice, one with another bit, two swapped."""
    yield path + [hashlib.sha256(b"").digest()]
    if path:
        yield path[1:]
        yield path[:-1]
        yield path + path[-1:]
        for at in {0, len(path) // 2, len(path) - 1}:
            yield path[:at] + [flipped(path[at], at)] + path[at + 1 :]
    if len(path) > 1:
        yield path[1:] + path[:1]


# ---- what the server says ----

KEY = query("SELECT notary.verifier_key('audit')")[0][0]
NAME, KEY_ID, DIGITS = KEY.split("+", 2)
assert b64decode(DIGITS)[:1] == b"\x01", "an Ed25519 key"
PUBLIC = Ed25519PublicKey.from_public_bytes(b64decode(DIGITS)[1:])
OTHER = query("SELECT notary.verifier_key('other')")[0][0]
NOTES = dict(query("SELECT size, note FROM notary.seals WHERE log = 'audit'::regclass ORDER BY size"))
LINES = [line for (line,) in query("SELECT notary.export('audit')")]
SIZES = sorted(NOTES)
ROOTS = {size: b64decode(note.split("\n")[2]) for size, note in NOTES.items()}

# Leaf data is the hash of the line, headers among them.
tree = InmemoryTree(algorithm="sha256")
DATA = [hashlib.sha256(line.encode()).digest() for line in LINES]
for data in DATA:
    tree.append_entry(data)
LEAVES = [tree.get_leaf(index + 1) for index in range(len(DATA))]
print("sizes:", SIZES[0], "to", max(size for size in SIZES if size < 1000), "then", SIZES[-3:])
print("header lines:", sum('"chain":0,' in line for line in LINES), "of", len(LINES))


# ---- roots ----


def same_root(size):
    if tree.get_root(size) != ROOTS[size]:
        raise InvalidProof


for size in SIZES:
    expect(True, "roots, pymerkle", same_root, size)


# ---- notes ----


def signature_of(note):
    line = note.split("\n\n", 1)[1]
    name, digits = line.removeprefix("— ").rstrip("\n").split(" ")
    assert (name, b64decode(digits)[:4].hex()) == (NAME, KEY_ID)
    return b64decode(digits)[4:]


def note_checks(wanted, note, key):
    expect(wanted, "notes, metamorphic_log", metamorphic_log.verify_signed_note, note, [key])
    expect(wanted, "checkpoints, metamorphic_log", metamorphic_log.checkpoint_verify, note, [key])


for size, note in NOTES.items():
    note_checks(True, note, KEY)
    head = metamorphic_log.checkpoint_verify(note, [KEY])
    assert (head.origin, head.size, head.root, head.extensions) == (NAME, size, ROOTS[size], [])
    text, signature = note.split("\n\n")[0] + "\n", signature_of(note)
    expect(True, "signatures, cryptography", PUBLIC.verify, signature, text.encode())
    expect(False, "signatures, cryptography", PUBLIC.verify, signature, text.encode()[:-1])
    expect(False, "signatures, cryptography", PUBLIC.verify, flipped(signature, size % 64), text.encode())
    another = b64encode(flipped(ROOTS[size], size % 32)).decode()
    for forged in [
        note.replace(f"\n{size}\n", f"\n{size + 1}\n"),
        note.replace(f"\n{size}\n", f"\n0{size}\n"),
        note.replace(note.split("\n")[2], another),
        note.replace(NAME + "\n", NAME + "/2\n", 1),
        note.replace(NAME + " ", NAME + "/2 "),
        note.replace("\n", "\r\n"),
        note[:-1],
        text,
    ]:
        note_checks(False, forged, KEY)
    note_checks(False, note, OTHER)


# ---- inclusion ----


def proof_file(proof):
    """A C2SP tlog-proof: the line, the index, the hashes and the note."""
    head, note = proof.split("\n\n", 1)
    magic, extra, index, *path = head.split("\n")
    assert magic == "c2sp.org/tlog-proof@v1"
    line = b64decode(extra.removeprefix("extra ")).decode()
    return line, int(index.removeprefix("index ")), [b64decode(digits) for digits in path], note


@lru_cache(maxsize=8)
def rule(index, size):
    """How pymerkle folds a path; it depends on the numbers alone."""
    return tree.prove_inclusion(index + 1, size).rule


def inclusion_checks(wanted, size, index, leaf, path):
    expect(wanted, "inclusion, metamorphic_log", metamorphic_log.verify_inclusion, index, size, leaf, path, ROOTS[size])
    if index < size:
        # It counts from 1, and its path starts with the leaf.
        proof = InclusionProof("sha256", True, size, index + 1, rule(index, size), [leaf] + path)
        expect(wanted, "inclusion, pymerkle", verify_inclusion, leaf, ROOTS[size], proof, index + 1, size)


# From size 150 on there are two headers, and one entry less than leaves but one.
ENTRIES = """
    WITH numbered AS MATERIALIZED (
        SELECT tableoid AS segment, notary_chain, notary_seq,
            row_number() OVER (ORDER BY notary_chain, notary_seq) AS number FROM audit),
    sealed AS (
        SELECT size, size - CASE WHEN size < 150 THEN 1 ELSE 2 END AS entries
        FROM notary.seals WHERE log = 'audit'::regclass),
    wanted AS (
        SELECT size, number FROM sealed, generate_series(1, entries) AS number WHERE size <= 32
        UNION SELECT size, number FROM sealed,
            unnest(ARRAY[1, 2, size / 3, size / 2, 148, 149, 253, 254, 255, 65534, entries - 1, entries]) AS number
        WHERE number BETWEEN 1 AND entries)
    SELECT size, notary.proof(segment, notary_chain, notary_seq, size) FROM wanted JOIN numbered USING (number)
    ORDER BY size, number
"""
for size, text in query(ENTRIES):
    line, index, path, note = proof_file(text)
    assert note == NOTES[size] and LINES[index] == line
    leaf = LEAVES[index]
    assert leaf == hashlib.sha256(b"\0" + hashlib.sha256(line.encode()).digest()).digest()
    inclusion_checks(True, size, index, leaf, path)
    assert tree.prove_inclusion(index + 1, size).path == [leaf] + path, "pymerkle makes the same proof"
    under_note = "inclusion under a note, metamorphic_log", metamorphic_log.checkpoint_verify_inclusion
    expect(True, *under_note, note, [KEY], index, leaf, path)
    expect(False, *under_note, note, [KEY], index, flipped(leaf), path)
    expect(False, *under_note, note, [OTHER], index, leaf, path)
    for other in tampered(path):
        inclusion_checks(False, size, index, leaf, other)
    inclusion_checks(False, size, index, LEAVES[(index + 1) % size], path)
    inclusion_checks(False, size, (index + 1) % size, leaf, path)
    if size - 1 in NOTES:
        inclusion_checks(False, size - 1, index, leaf, path)
    inclusion_checks(False, size, size, leaf, path)


# ---- consistency ----


@lru_cache(maxsize=8)
def between(old, new):
    return tree.prove_consistency(old, new)


def consistency_checks(wanted, old, new, path):
    roots = ROOTS[old], ROOTS[new]
    expect(wanted, "consistency, metamorphic_log", metamorphic_log.verify_consistency, old, new, path, *roots)
    if new != old + 1:
        return
    # pymerkle's proofs have other hashes than RFC 6962's, but for two neighbours: there they are the same in another
    # order, the new leaf first, and the old root where the RFC leaves it out.
    whole = between(old, new)
    if old & (old - 1) == 0:
        order = path[:1] + [ROOTS[old]] + path[1:]
    else:
        order = path[1:2] + path[:1] + path[2:]
    proof = ConsistencyProof("sha256", True, new, old, whole.rule, whole.subset, order)
    expect(wanted, "consistency of neighbours, pymerkle", verify_consistency, ROOTS[old], ROOTS[new], proof, old, new)


def olds(new):
    if new <= 40:
        return range(1, new + 1)
    near = {1, 2, new // 3, new // 2, 1 << (new.bit_length() - 1), 149, 150, 255, 256, 257, 65535, 65536, new - 1, new}
    return sorted(size for size in near if size <= new and size in NOTES)


PAIRS = [(old, new) for new in SIZES for old in olds(new) if old in NOTES]
BETWEEN = "SELECT notary.consistency_proof('audit', o, n) FROM unnest(%s::bigint[], %s::bigint[]) WITH ORDINALITY AS p(o, n, i) ORDER BY i"
PROOFS = query(BETWEEN, [old for old, _ in PAIRS], [new for _, new in PAIRS])
for (old, new), (text,) in zip(PAIRS, PROOFS, strict=True):
    path = [b64decode(digits) for digits in text.split("\n")[:-1]]
    consistency_checks(True, old, new, path)
    of_notes = "consistency of notes, metamorphic_log", metamorphic_log.checkpoint_verify_consistency
    expect(True, *of_notes, NOTES[old], NOTES[new], [KEY], path)
    for other in tampered(path):
        consistency_checks(False, old, new, other)
    if old < new:
        consistency_checks(False, new, old, path)
        expect(False, *of_notes, NOTES[new], NOTES[old], [KEY], path)
        expect(False, *of_notes, NOTES[old], NOTES[new], [OTHER], path)
        # What pymerkle itself makes of the two trees holds between the roots that were sealed.
        made = between(old, new)
        expect(True, "its own consistency, pymerkle", verify_consistency, ROOTS[old], ROOTS[new], made, old, new)
        wrong = flipped(ROOTS[old])
        expect(False, "its own consistency, pymerkle", verify_consistency, wrong, ROOTS[new], made, old, new)

for (verdict, what), count in sorted(TALLY.items()):
    print(f"{verdict} {count} {what}")
