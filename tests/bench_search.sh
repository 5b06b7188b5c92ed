#!/usr/bin/env bash
# How long a page of notary.search takes, on a throw-away server. Prints a table in Markdown: for each kind of search the
# median of several runs in one session, of which the first is not counted.
#
#   NOTARY_BENCH_EVENTS  events in the log (10,000,000: some 12 GB)
#   NOTARY_BENCH_RUNS    runs of each search (7)
#   NOTARY_BENCH_INDEXES which indexes the log has: {time,resource} (all)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

events=${NOTARY_BENCH_EVENTS:-10000000}
runs=${NOTARY_BENCH_RUNS:-7}

home=$(mktemp -d "$NOTARY_STAGE/run/bench.XXXXXX")
trap remove_home EXIT

start_in_home <<CONF
shared_buffers = '2GB'
maintenance_work_mem = '512MB'
max_wal_size = '16GB'
checkpoint_timeout = '1h'
fsync = off
timezone = 'UTC'
CONF
export PGHOST=$home PGDATABASE=postgres PGUSER=postgres LC_ALL=C.UTF-8
export PGOPTIONS='-c client_min_messages=warning'
sql() { "$NOTARY_PGROOT/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
ask() { sql -c "$1"; }

ask "CREATE EXTENSION pg_notary"
ask "SELECT notary.create_log('audit', indexes => nullif('${NOTARY_BENCH_INDEXES:-}', '')::text[])" >/dev/null
# The indexes that a log can be without for the moment are made at the end: four times as fast.
later="SELECT pg_get_indexdef(i.indexrelid) FROM pg_index AS i
       WHERE indrelid = 'audit'::regclass AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid) ORDER BY 1"
mapfile -t indexes < <(ask "$later")
ask "SELECT format('DROP INDEX %s;', i.indexrelid::regclass) FROM pg_index AS i
     WHERE indrelid = 'audit'::regclass AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)" | sql
# An event every five seconds, backwards from now: by the newest tenth of a per mille, hundredths and so on one can say
# how many of what there are, and whether they are old.
begin=$(date +%s)
for ((from = 1; from <= events; from += 500000)); do
    ask "INSERT INTO audit (occurred_at, action, actor, actor_type, actor_role, resource_type, resource_id, result, ip, pii, pii_fields,
                            new_value, details, tags)
         SELECT timestamptz '2026-01-01 00:00+00' - ($events - i) * interval '5 seconds',
             CASE WHEN i <= $events / 50 THEN 'legacy.import.' || i % 20 WHEN i % 100000 = 1 THEN 'rare.one' WHEN i % 10 = 0 THEN 'customer.pii.' || (ARRAY['view', 'update', 'export'])[1 + i % 3]
                  ELSE (ARRAY['order.create', 'order.update', 'auth.login', 'auth.logout', 'invoice.view', 'invoice.send', 'stock.count'])[1 + i % 7] END,
             CASE WHEN i <= $events / 50 THEN 'retired' WHEN i % 3 = 0 THEN 'svc' ELSE 'user' || (i::bigint * 7919) % 20000 END, 'user',
             (ARRAY['admin', 'clerk', 'clerk', 'clerk', 'clerk', 'clerk', 'clerk', NULL])[1 + (i / 7) % 8],
             CASE WHEN i <= $events / 50 THEN 'legacy' ELSE (ARRAY['customer', 'order', 'invoice', NULL])[1 + i % 4] END, ((i::bigint * 31) % 500000)::text,
             CASE WHEN i <= $events / 1000 THEN 'error' WHEN i % 100 = 3 THEN 'failure' WHEN i % 100000 = 5 THEN 'denied' ELSE 'success' END,
             '192.0.2.1'::inet + i % 200, i % 10 = 0, CASE WHEN i % 10 = 0 THEN ARRAY['email'] END,
             CASE WHEN i % 2 = 0 THEN jsonb_build_object('total', i % 1000, 'state', 'open') END,
             jsonb_build_object('note', CASE WHEN i <= $events / 500 THEN 'ancient ' ELSE 'everyday ' END
                 || CASE WHEN i % 1000 = 9 THEN 'thousandth ' ELSE '' END || CASE WHEN i % 20 = 9 THEN 'twentieth ' ELSE '' END || 'ref' || i % 1000000),
             CASE WHEN i % 1000 = 7 THEN ARRAY['permille'] WHEN i % 10 = 7 THEN ARRAY['nightly', 'batch'] WHEN i <= $events / 500 THEN ARRAY['old'] END
         FROM generate_series($from, least($from + 499999, $events)) AS i"
done
for index in "${indexes[@]}"; do ask "$index"; done
[[ $(ask "$later") == "$(printf '%s\n' "${indexes[@]}")" ]] || { echo "not all indexes are there again" >&2; exit 1; }
ask "VACUUM ANALYZE audit"
printf '%s events in %s s; the table takes %s, its indexes %s\n\n' "$events" "$(($(date +%s) - begin))" \
    "$(ask "SELECT pg_size_pretty(pg_table_size('audit'))")" "$(ask "SELECT pg_size_pretty(pg_indexes_size('audit'))")"

# What is asked, in one session: the connection is not what is measured.
searches=(
    "everything|"
    "a period of one day|since => '2025-12-30', until => '2025-12-31'"
    "actor, every third event|actor => 'svc'"
    "actor, a few|actor => 'user77'"
    "actor, only old events|actor => 'retired'"
    "actor, none|actor => 'nobody'"
    "actor_role|actor_role => 'admin'"
    "action|action => 'order.create'"
    "action, a few|action => 'rare.one'"
    "pattern, every tenth event|action => 'customer.pii.*'"
    "pattern, a few|action => 'rare.*'"
    "pattern, only old events|action => 'legacy.*'"
    "pattern, none|action => 'nothing.*'"
    "resource|resource_type => 'customer', resource_id => '77004'"
    "resource_type, every fourth event|resource_type => 'customer'"
    "resource_type, only old events|resource_type => 'legacy'"
    "resource_id alone|resource_id => '77004'"
    "result, one of a hundred|result => 'failure'"
    "result, a few|result => 'denied'"
    "result, only old events|result => 'error'"
    "pii|pii => true"
    "tag, every tenth event|tag => 'batch'"
    "tag, one of a thousand|tag => 'permille'"
    "tag, only old events|tag => 'old'"
    "word, nearly every event|text => 'everyday'"
    "word, one of twenty|text => 'twentieth'"
    "word, one of a thousand|text => 'thousandth'"
    "word, a few|text => 'ref4711'"
    "word, none|text => 'unheard'"
    "word, only old events|text => 'ancient'"
    "two words, frequent and rare|text => 'everyday ref4711'"
    "actor of many and a word of a few|actor => 'svc', text => 'ref4713'"
    "actor of a few, pattern, pii|actor => 'user77', action => 'customer.*', pii => true"
    "actor of many and action of a few|actor => 'svc', action => 'rare.one'"
    "role, pii, a quarter|actor_role => 'admin', pii => true, since => '2025-10-01', until => '2026-01-01'"
    "pattern, role, result|action => 'auth.*', actor_role => 'clerk', result => 'failure'"
    "tag and word|tag => 'batch', text => 'everyday'"
)
printf '| search | arguments | rows | first page, ms | a page from the middle, ms |\n|---|---|---|---|---|\n'
for search in "${searches[@]}"; do
    what=${search%%|*}
    given=${search#*|}
    call="notary.search('audit'${given:+, $given}"
    middle=$(ask "SELECT id FROM $call, page_size => 1000) ORDER BY occurred_at, id LIMIT 1 OFFSET 40")
    times() {
        {
            echo '\o /dev/null'
            echo '\timing on'
            for ((run = 0; run <= runs; run++)); do echo "SELECT * FROM $1;"; done
        } | sql | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n "$runs" | sort -n | sed -n "$(((runs + 1) / 2))p"
    }
    first=$(times "$call)")
    next=-
    [[ -z $middle ]] || next=$(times "$call, after => '$middle')")
    printf '| %s | `%s` | %s | %s | %s |\n' "$what" "$given" "$(ask "SELECT count(*) FROM $call)")" "$first" "$next"
done
