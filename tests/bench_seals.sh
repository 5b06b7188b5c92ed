#!/usr/bin/env bash
# What seals, proofs, export and the tool without a database cost, on a throw-away server. Prints a table in Markdown.
#
#   NOTARY_BENCH_ROWS    entries in one seal (1,000,000)
#   NOTARY_BENCH_LEAVES  entries in the log when single proofs are timed (10,000,000)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

rows=${NOTARY_BENCH_ROWS:-1000000}
leaves=${NOTARY_BENCH_LEAVES:-10000000}
verifier=$NOTARY_TARGET/release/notary-verify

home=$(mktemp -d "$NOTARY_STAGE/run/bench.XXXXXX")
trap remove_home EXIT

start_in_home <<CONF
shared_buffers = '2GB'
max_wal_size = '16GB'
checkpoint_timeout = '1h'
notary.origin = 'bench.example.com'
notary.signing_key_file = 'bench.key'
CONF
export PGHOST=$home PGDATABASE=postgres PGUSER=postgres LC_ALL=C.UTF-8
sql() { "$NOTARY_PGROOT/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
ask() { sql -c "$1"; }
# How long a statement takes, in seconds.
timed() { sql -c '\o /dev/null' -c '\timing on' -c "$1" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | awk '{ s += $1 } END { printf "%.2f", s / 1000 }'; }
line() { printf '| %s | %s |\n' "$1" "$2"; }

insert() {
    ask "INSERT INTO audit (at, actor, action, resource, data)
         SELECT now(), 'usr_' || i % 1000, 'customer.update', 'customer/' || i, jsonb_build_object('field', 'name', 'old', i, 'new', i + 1)
         FROM generate_series(1, $1) AS i"
}

ask "CREATE EXTENSION pg_notary"
ask "SELECT * FROM notary.generate_key()" >/dev/null
ask "CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, actor text, action text, resource text, data jsonb)"
ask "SELECT notary.protect('audit')" >/dev/null 2>&1
ask "INSERT INTO audit (actor) VALUES ('first')"
ask "CALL notary.seal('audit')" >/dev/null
store="SELECT sum(pg_total_relation_size(t)) FROM unnest('{notary.leaf_range,notary.subtree,notary.seal_store,notary.tree}'::regclass[]) AS t"
empty=$(ask "$store")

printf '| what | how much |\n|---|---|\n'
insert "$rows"
ask "VACUUM audit"
sealing=$(timed "CALL notary.seal('audit')")
stored=$(($(ask "$store") - empty))
reading=$(timed "SELECT count(line) FROM (SELECT notary.export('audit', 2) AS line) AS lines")
checking=$(timed "SELECT * FROM notary.verify('audit')")
line "sealing $rows new entries" "$sealing s"
line "reading them by the same way, without hashing (\`notary.export\` inside the server)" "$reading s"
line "\`notary.verify\` of the log with its seal" "$checking s"
line "a seal with nothing new" "$(timed "CALL notary.seal('audit')") s"
line "space that the seal of $rows entries takes" "$((stored / 1024)) kB"

copy="\\copy (SELECT notary.export('audit')) TO '$home/audit.jsonl' WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
begin=$(date +%s.%N)
sql -c "$copy"
end=$(date +%s.%N)
bytes=$(stat -c %s "$home/audit.jsonl")
line "export of them to a file of $((bytes / 1000000)) MB" "$(awk "BEGIN { printf \"%.2f\", $end - $begin }") s"
if [[ -x $verifier ]]; then
    ask "SELECT note FROM notary.seals ORDER BY size DESC LIMIT 1" | sed '$d' >"$home/note"
    ask "SELECT notary.verifier_key('audit')" >"$home/keys"
    begin=$(date +%s.%N)
    "$verifier" export --note "$home/note" --keys "$home/keys" "$home/audit.jsonl" >/dev/null
    end=$(date +%s.%N)
    begin_sum=$(date +%s.%N)
    sha256sum "$home/audit.jsonl" >/dev/null
    end_sum=$(date +%s.%N)
    line "check of that file with \`notary-verify\`" "$(awk "BEGIN { printf \"%.2f\", $end - $begin }") s"
    line "\`sha256sum\` of that file" "$(awk "BEGIN { printf \"%.2f\", $end_sum - $begin_sum }") s"
fi
rm -f "$home/audit.jsonl"

more=$((leaves - rows - 1))
while [[ $more -gt 0 ]]; do
    insert $((more < 1000000 ? more : 1000000))
    more=$((more - 1000000))
done
ask "VACUUM audit"
ask "CALL notary.seal('audit')" >/dev/null
printf '\\set seq random(1, %d)\nSELECT notary.proof(%s, 1, :seq);\n' "$leaves" "'audit'" >"$home/proof.sql"
"$NOTARY_PGROOT/pgbench" -n -T 5 -f "$home/proof.sql" >/dev/null 2>&1
latency=$("$NOTARY_PGROOT/pgbench" -n -T 15 -f "$home/proof.sql" 2>/dev/null | sed -n 's/^latency average = //p')
line "a proof of a random entry among $leaves" "$latency"
line "its size (a line of $(ask "SELECT length(notary.line('audit', 1, 777))") bytes)" "$(ask "SELECT length(notary.proof('audit', 1, 777))") bytes"
insert 100
line "a seal of 100 new entries on top of $leaves" "$(timed "CALL notary.seal('audit')") s"
