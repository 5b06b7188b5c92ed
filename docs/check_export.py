#!/usr/bin/env python3
# Checks an export of a pg_notary log against a note:   python3 check_export.py NOTE EXPORT
#
# It needs nothing but Python's standard library, which has no Ed25519: THE SIGNATURE IS NOT CHECKED. Check it with
# another tool, or know from elsewhere that the note is the one that was published. The note: origin, size, root.
# Memory: one hash for each chain and each bit of the size. EXPORT may be -, which is standard input. Exit code
# 0: right; 1: wrong, and the message says which line and why; 2: nothing can be said: wrong usage, no note, no file.
import base64, datetime, hashlib, json, re, sys

def sha256(data): return hashlib.sha256(data).digest()

class Number(str): pass                                 # numbers stay as they are spelt: no floating point

def check(right, why):
    if not right: sys.exit(f"WRONG: line {size + 1}: {why}")

def cannot_tell(why): print(f"check_export.py: {why}", file=sys.stderr); sys.exit(2)

def unique(pairs):                                      # an object in which no key stands twice
    check(len(pairs) == len(dict(pairs)), "a key stands twice")
    return dict(pairs)

# The one way to spell a value. Down to the row it is compact JSON. What is inside a row (depth 2 and deeper) is spelt
# as PostgreSQL prints jsonb: shorter keys come first, keys of one length by their bytes; a space after , and :
def spell(value, depth=0):
    comma, colon = (",", ":") if depth < 2 else (", ", ": ")
    if isinstance(value, dict):
        order = (lambda key: (len(key.encode()), key.encode())) if depth >= 2 else str
        check(depth == 0 or list(value) == sorted(value, key=order), "names are out of order")
        return "{" + comma.join(spell(key) + colon + spell(value[key], depth + 1) for key in value) + "}"
    if isinstance(value, list):
        return "[" + comma.join(spell(item, depth + 1) for item in value) + "]"
    if isinstance(value, Number):
        check(re.fullmatch(r"-?(0|[1-9][0-9]*)([.][0-9]+)?", value) and not re.fullmatch("-[0.]+", value), "a number")
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

# A time as PostgreSQL prints and holds it: 64 bits of microseconds since 2000. The calendar repeats after 400 years.
TIME = r"([0-9]{4}|[1-9][0-9]{4,5})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})[.]([0-9]{6})Z( BC)?"

def is_time(text):
    year, *rest, bc = re.fullmatch(TIME, text).groups()
    era, year_of_era = divmod(1 - int(year) if bc else int(year), 400)
    since = datetime.datetime(2000 + year_of_era, *map(int, rest)) - datetime.datetime(2000, 1, 1)
    since = (since + datetime.timedelta((era - 5) * 146097)) // datetime.timedelta(microseconds=1)
    return int(year) > 0 and -2**63 < since < 2**63 - 1

# Version 0.1.0 of the extension makes no redactable values: an entry has no such member here.
MEMBERS = dict(v=Number, log=str, segment=Number, chain=Number, seq=Number, time=str)
ENTRY = dict(MEMBERS, prev=str, row=dict)
HEADER = dict(MEMBERS, by=str, schema=str, table=str, first_chain=Number, adopted=Number, columns=dict, redactable=list)

ORIGIN = r"((?:[A-Za-z0-9._~-]+/)+([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/([2-9]|[1-9][0-9]{1,9}))?)\n"
NOTE = ORIGIN + r"([0-9]+)\n([A-Za-z0-9+/]{43}=)\n(?:\n(?:— [^\s+\x00-\x1f\x7f-\x9f]+ [A-Za-z0-9+/]{6,}={0,2}\n)+)?"

if len(sys.argv) != 3: cannot_tell("usage: python3 check_export.py NOTE EXPORT")
try:
    note = open(sys.argv[1], "rb").read().decode("utf-8")
    export = sys.stdin.buffer if sys.argv[2] == "-" else open(sys.argv[2], "rb")
    origin, log, incarnation, note_size, note_root = re.fullmatch(NOTE, note).groups()
    if len(origin) > 255 or int(incarnation or 2) >= 2**31: raise ValueError
except OSError as error: cannot_tell(error)
except (ValueError, AttributeError):                    # not UTF-8, or no match
    cannot_tell(f"{sys.argv[1]} is no note: empty, Windows line ends, a byte order mark, an empty line at its end?")
size, tree, headers, chains = 0, [], {}, {}
for line in export:
    check(line.endswith(b"\n"), "no newline at the end")
    line = line[:-1]
    try:
        read = json.loads(line.decode("utf-8"), object_pairs_hook=unique, parse_int=Number, parse_float=Number)
        check(spell(read).encode("utf-8") == line, "spelt in another way than the format's")
        segment, chain, seq = (int(read[name]) for name in ("segment", "chain", "seq"))
        members = HEADER if chain == 0 and seq == 0 else ENTRY
        check([*zip(read, map(type, read.values()))] == [*members.items()], "other members than the format's")
        check(read["v"] == "1" and is_time(read["time"]), "another version, or no time")
        if members is HEADER:
            names, types, first_chain = read["redactable"], read["columns"].values(), int(read["first_chain"])
            check({str} >= set(map(type, [*names, *types])) and names == sorted(set(names)), "no names, or no types")
            check(0 < first_chain < 2**31 and 0 <= int(read["adopted"]) < 2**63, "a number out of its range")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        check(False, "not a line of the format")
    check(read["log"] == log, "a line of another log")
    if members is HEADER:
        check(segment == len(headers) + 1, "a header out of order, or twice")
        headers[segment] = sha256(line), first_chain
    else:
        check(segment in headers and headers[segment][1] <= chain <= 65535, "a chain that its segment does not have")
        last_seq, last_hash = chains.get((segment, chain), (0, headers[segment][0]))
        check(seq == last_seq + 1, f"the next entry of this chain is seq {last_seq + 1}")
        check(read["prev"] == last_hash.hex(), "prev is not the hash of the line before it")
        chains[segment, chain] = seq, sha256(line)
    node, height = sha256(b"\0" + sha256(line)), 0      # RFC 6962: complete subtrees, the largest first
    while tree and tree[-1][1] == height:
        node, height = sha256(b"\1" + tree.pop()[0] + node), height + 1
    tree.append((node, height))
    size += 1

root = tree.pop()[0] if tree else sha256(b"")
while tree:
    root = sha256(b"\1" + tree.pop()[0] + root)
if str(size) != note_size: sys.exit(f"WRONG: the export has {size} lines, the note speaks of {note_size}")
if base64.b64encode(root).decode() != note_root: sys.exit("WRONG: these lines do not have the root of the note")
print(f"right: {size} lines of {origin} are those of the note, whose signature was NOT checked")
