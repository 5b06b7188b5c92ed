#!/usr/bin/env bash
# Where the time of a protected INSERT goes, step by step, on a throw-away server. Needs perf and the right to use it.
# Prints a table in Markdown: of the time of the inserting backend, how many percent each step takes.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"
command -v perf >/dev/null || { echo "bench-profile: perf is not installed (Debian: linux-perf)" >&2; exit 1; }

home=$(mktemp -d "$NOTARY_STAGE/run/profile.XXXXXX")
trap remove_home EXIT

# As tests/src/bin/bench has it: the disk is not what is looked at.
start_in_home <<CONF
shared_buffers = '2GB'
max_wal_size = '3GB'
checkpoint_timeout = '1h'
fsync = off
autovacuum = off
jit = off
CONF
export PGHOST=$home PGDATABASE=postgres PGUSER=postgres LC_ALL=C.UTF-8 PGOPTIONS='-c client_min_messages=warning'
ask() { "$NOTARY_PGROOT/psql" -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }

ask "CREATE EXTENSION pg_notary"
ask "CREATE TABLE source AS SELECT i::bigint AS id, 'usr_' || i % 5000 AS actor, 'customer.pii.export' AS action,
         now() + i * interval '1 ms' AS at, i % 1000 AS n, (i % 100000)::numeric(12,2) / 100 AS amount, i % 2 = 0 AS ok,
         jsonb_build_object('ip', '192.0.2.' || i % 256, 'ref', left(md5(i::text), 12), 'items', i % 40) AS data
     FROM generate_series(1, 3000000) AS i"
ask "VACUUM source"
ask "CREATE TABLE rows (LIKE source)"
ask "SELECT notary.protect('rows')" >/dev/null
ask "CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),
         actor text NOT NULL, action text NOT NULL, data jsonb)"
ask "SELECT notary.protect('events')" >/dev/null
echo "INSERT INTO events (actor, action, data) VALUES ('usr_a1b2c3', 'customer.pii.export', '{\"rows\": 120, \"file\": \"customers.csv\"}');" >events.sql

# The stacks of the backend whose statement begins so, while it runs: the first second is none of them, so that caches
# are filled.
record() {
    local pid= out=$1
    sleep 1
    pid=$(ask "SELECT pid FROM pg_stat_activity WHERE query LIKE '$2%' AND pid <> pg_backend_pid() LIMIT 1")
    perf record -q -F 2500 -p "$pid" --call-graph dwarf,16384 -o "$out" -- sleep "$3" 2>/dev/null
    perf script -i "$out" -F ip,sym,dso 2>/dev/null >"$out.txt"
    rm -f "$out"
}
"$NOTARY_PGROOT/pgbench" -n -M prepared -c 1 -T 7 -f events.sql >/dev/null 2>&1 &
record single "INSERT INTO events" 4
wait $!
ask "INSERT INTO rows SELECT * FROM source" &
record bulk "INSERT INTO rows" 3
wait $!

# A stack is known by the names in it. What comes first here is looked for first.
shares() {
    awk '
        function count() {
            if (stack == "") return
            all++
            if (stack !~ /pg_notary\.so/) {
                if (stack ~ / CommitTransaction/) n["commit"]++
                else if (stack ~ / ExecInsertIndexTuples/) n["index"]++
                else if (stack ~ / heap_insert/) n["heap"]++
                else n["rest"]++
            }
            else if (stack ~ /digest::Digest|sha256/) n["hash"]++
            else if (stack ~ /RowWriter|types::Writer|line::|core::time/) n["line"]++
            else if (stack ~ /Values::form|heap_form_tuple/) n["tuple"]++
            else if (stack ~ /pg::lock|LockAcquire|LockRelease/) n["lock"]++
            else if (stack ~ /append::heads|pg::index|pg::counts/) n["head"]++
            else n["call"]++
            stack = ""
        }
        NF { stack = stack " " $0; next }
        { count() }
        END {
            count()
            split("lock head line hash tuple call heap index commit rest", steps, " ")
            for (i = 1; i in steps; i++) printf "%.1f\n", 100 * n[steps[i]] / all
        }' "$1"
}
paste -d'|' <(cat <<'STEPS'
lock: the chain is taken
head: where the chain ends
line: the row as the text that is hashed
hash: SHA-256 of it
tuple: the row with our columns in it
the rest of the trigger: the call, the plan, the clock
PostgreSQL stores the row
PostgreSQL adds it to the indexes
PostgreSQL commits
PostgreSQL, everything else
STEPS
) <(shares single.txt) <(shares bulk.txt) | awk -F'|' '
    BEGIN { print "| step | one row, one client | INSERT … SELECT |\n|---|---|---|" }
    { printf "| %s | %s | %s |\n", $1, $2, $3 }'
