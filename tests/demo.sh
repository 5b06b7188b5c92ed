#!/usr/bin/env bash
# Shows pg_notary at work on a throw-away server, in half a minute, and checks what it shows: it ends
# with a code other than 0 when anything is not as it says. `make demo` builds what it needs first.
#
#   NOTARY_DEMO_SECONDS   how long pgbench inserts (10)
#   NO_COLOR              no colours, as into a file or a pipe
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

seconds=${NOTARY_DEMO_SECONDS:-10}
clients=16

# ---- how it looks ----

bold='' dim='' red='' green='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi
heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '  %s\n' "$*"; }
good() { printf '  %s%s%s\n' "$green" "$*" "$plain"; }
# What somebody types, with who it is as psql's prompt.
typed() { printf '  %s%s=>%s %s\n' "$dim" "$1" "$plain" "$2"; }
indent() { sed 's/^/    /'; }
# A query that a role types, and what it answers.
asks() {
    typed "$1" "$2;"
    psql_as "$1" -P footer=off -c "$2" | sed '/^$/d' | indent
}
# The lines of a refusal: the error in red, without where in the sources it was raised.
refusal() { sed -e '/^LOCATION:/d' -e "s/^ERROR:.*/$red&$plain/" -e 's/^/    /'; }

fail() {
    printf '\n%sdemo: %s%s\n' "$red" "$*" "$plain" >&2
    if [[ -s $home/log ]]; then printf 'the last lines of the server log:\n' >&2; tail -n 20 "$home/log" >&2; fi
    exit 1
}

# ---- the server ----

home=
pgbench_pid=
clean_up() {
    trap '' INT TERM HUP
    [[ -z $pgbench_pid ]] || kill "$pgbench_pid" 2>/dev/null || true
    if [[ -n $home ]]; then
        remove_home
    fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

start_server() {
    [[ -x $NOTARY_PGROOT/postgres && -d $NOTARY_STAGE/template && -d $NOTARY_STAGE/run ]] || fail "nothing is built yet: run make demo"
    home=$(mktemp -d "$NOTARY_STAGE/run/demo.$$.XXXXXX")
    start_in_home <<CONF || fail "the server did not start"
port = 5432
logging_collector = off
log_line_prefix = '%m [%p] '
timezone = 'UTC'
CONF
    unset PGOPTIONS PGSERVICE PGSSLMODE
    export PGHOST=$home PGPORT=5432 PGDATABASE=postgres PGTZ=UTC PGDATESTYLE=ISO LC_ALL=C.UTF-8
    version=$(ask "SHOW server_version")
    psql_as postgres -c "CREATE ROLE app LOGIN" -c "CREATE DATABASE shop OWNER app TEMPLATE template0"
    export PGDATABASE=shop
}

# psql as a role; errors stop it and show their SQLSTATE.
psql_as() {
    local role=$1
    shift
    "$NOTARY_PGROOT/psql" -X -q -U "$role" -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -v SHOW_CONTEXT=never "$@"
}

# The one value that a query gives, to the superuser.
ask() { psql_as postgres -A -t -c "$1"; }
thousands() { ask "SELECT trim(to_char($1, '999,999,999,999'))"; }

expect() {
    [[ $2 == "$3" ]] || fail "$1: expected $2, got $3"
}

# ---- the events ----

# A line for every file that every commit added, changed or removed, in COPY's text format.
history() {
    git -c safe.directory="$NOTARY_ROOT" -C "$NOTARY_ROOT" log --reverse --no-renames --name-status \
        --format='@%x09%h%x09%aI%x09%an' 2>/dev/null |
        awk -F '\t' -v OFS='\t' '
            { gsub(/\\/, "\\\\") }
            $1 == "@" { id = $2; at = $3; who = $4; next }
            NF == 2 {
                what = $1 == "A" ? "added" : $1 == "D" ? "removed" : "changed"
                print at, who, what, $2, id
            }'
}

load_events() {
    psql_as app <<'SQL'
CREATE TABLE changes (at timestamptz NOT NULL, who text NOT NULL, what text NOT NULL, file text, commit text);
SQL
    local from="this repository's own history"
    history >"$home/events" || true
    if [[ $(wc -l <"$home/events") -lt 10 ]]; then
        from="a sample, as there is no git history here"
        cp "$NOTARY_ROOT/tests/demo/events.tsv" "$home/events"
    fi
    psql_as app -c "\\copy changes (at, who, what, file, commit) FROM '$home/events'"
    events=$(ask "SELECT count(*) FROM changes")
    expect "events loaded" "$(wc -l <"$home/events")" "$events"
    typed app "\\copy changes (at, who, what, file, commit) FROM 'events'"
    say "$(thousands "$events") events of $(ask "SELECT count(DISTINCT commit) FROM changes") commits: $from"
}

# ---- protect ----

protect() {
    psql_as postgres -c "CREATE EXTENSION pg_notary"
    typed postgres "CREATE EXTENSION pg_notary;"
    typed app "SELECT notary.protect('changes');"
    local said
    said=$(psql_as app -A -t -c "SELECT notary.protect('changes')" 2>&1 >/dev/null | sed -e '/^LOCATION:/d' -e 's/^NOTICE:  00000: /NOTICE:  /')
    indent <<<"$said"
    [[ $said == *"now append-only"* && $said == *"$events rows that were there"* ]] || fail "protect did not say what it did"
}

# ---- applications insert ----

start_pgbench() {
    cat >"$home/insert.sql" <<'SQL'
\set n random(1, 1000)
INSERT INTO changes (at, who, what, file) VALUES (now(), 'client ' || :client_id, 'changed', 'file ' || :n);
SQL
    "$NOTARY_PGROOT/pgbench" -n -U app -c $clients -j 2 -T "$seconds" -f "$home/insert.sql" >"$home/pgbench" 2>&1 &
    pgbench_pid=$!
    typed app "pgbench --client=$clients --time=$seconds --file=insert.sql"
    say "runs on beside all that follows"
    # The attempts below are to meet a log that is being written to.
    local tries=0
    until [[ $(ask "SELECT count(DISTINCT notary_chain) > 1 FROM changes") == t ]]; do
        kill -0 "$pgbench_pid" 2>/dev/null || fail "pgbench: $(cat "$home/pgbench")"
        tries=$((tries + 1))
        [[ $tries -lt 1200 ]] || fail "pgbench inserts nothing"
        sleep 0.05
    done
}

end_pgbench() {
    wait "$pgbench_pid" || fail "pgbench: $(cat "$home/pgbench")"
    pgbench_pid=
    inserted=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$home/pgbench")
    local failed
    failed=$(sed -n 's/^number of failed transactions: \([0-9]*\) .*/\1/p' "$home/pgbench")
    expect "failed inserts" 0 "$failed"
    say "pgbench has ended: $(thousands "$inserted") rows by $clients clients in $seconds s, none failed"
}

# ---- what is refused ----

hint_shown=
# attempt <role> <statement>: must be refused with 55000, and is shown with what psql says.
attempt() {
    local role=$1 statement=$2 said status=0
    typed "$role" "$statement;"
    said=$(psql_as "$role" -c "$statement" 2>&1) || status=$?
    [[ $status -ne 0 && $said == "ERROR:  55000: "*" is refused: "*"HINT:"*"notary.unprotect"* ]] ||
        fail "this was to be refused with SQLSTATE 55000 and a hint: $statement"$'\n'"$said"
    # The same hint every time is nothing to read.
    if [[ -n $hint_shown ]]; then said=$(sed '/^HINT:  To end the protection/d' <<<"$said"); fi
    hint_shown=yes
    refusal <<<"$said"
}

attempts() {
    attempt app "UPDATE changes SET who = 'nobody' WHERE what = 'removed'"
    attempt app "DELETE FROM changes WHERE at < now() - interval '1 day'"
    attempt app "TRUNCATE changes"
    attempt app "ALTER TABLE changes DISABLE TRIGGER ALL"
    attempt app "ALTER TABLE changes ALTER COLUMN who TYPE text USING 'nobody'"
    attempt postgres "DELETE FROM changes"
    attempt postgres "DROP TABLE changes"
    attempt postgres "DROP EXTENSION pg_notary CASCADE"
    expect "refusals in the server log" 8 "$(grep -c 'pg_notary: refused sqlstate=55000' "$home/log")"
    say "Each left a line in the server log that an alert can match:"
    grep -o 'pg_notary: refused sqlstate=55000.*' "$home/log" | tail -n 1 | indent
}

# ---- verify ----

verify() {
    typed app "SELECT intact, entries, chains, findings, elapsed FROM notary.verify('changes');"
    psql_as app -c "CREATE TEMP TABLE answer AS SELECT * FROM notary.verify('changes')" \
        -c "SELECT intact, entries, chains, findings, elapsed FROM answer" \
        -c "\\o $home/answer" -c "\\pset format unaligned" -c "\\t on" \
        -c "SELECT intact, entries, findings FROM answer" -P footer=off | sed '/^$/d' | indent
    expect "verify" "t|$((events + inserted))|0" "$(cat "$home/answer")"
    good "intact: every one of the $(thousands "$events") + $(thousands "$inserted") rows is there, and is what it was"
}

# ---- a superuser goes round the guard ----

forge() {
    forged=$((events / 3 + 1)) deleted=$((events / 2 + 1))
    local off="UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'changes'::regclass"
    local change="UPDATE changes SET who = 'mallory' WHERE notary_chain = 1 AND notary_seq = $forged"
    local delete="DELETE FROM changes WHERE notary_chain = 1 AND notary_seq = $deleted"
    say "The guard cannot stop a superuser who edits PostgreSQL's own catalogs. He can switch it off,"
    say "forge a row, delete another, and switch it on again so that nothing looks different."
    say "Each line is a session of its own, since a session keeps in mind which triggers there are:"
    typed postgres "$off;"
    psql_as postgres -c "$off"
    # A session that begins now sees the triggers as they are now.
    typed postgres "$change;"
    expect "rows forged" "UPDATE 1" "$("$NOTARY_PGROOT/psql" -X -U postgres -c "$change")"
    typed postgres "$delete;"
    expect "rows deleted" "DELETE 1" "$("$NOTARY_PGROOT/psql" -X -U postgres -c "$delete")"
    guard_off=$(ask "SELECT count(*) FROM notary.findings('changes') WHERE problem = 'guard_off'")
    typed postgres "${off/\'D\'/\'A\'};"
    psql_as postgres -c "${off/\'D\'/\'A\'}"
}

findings() {
    typed app "SELECT problem, chain, seq, detail FROM notary.findings('changes') ORDER BY seq;"
    psql_as app -c "CREATE TEMP TABLE found AS SELECT problem, chain, seq, detail FROM notary.findings('changes') ORDER BY seq" \
        -c "\\x on" -c "TABLE found" -c "\\x off" \
        -c "\\o $home/found" -c "\\pset format unaligned" -c "\\t on" -c "SELECT problem, chain, seq FROM found" |
        sed -e '/^$/d' -e 's/^\(-\[ RECORD [0-9]* \]-*\).*/\1/;s/\(]-\{10\}\)-*/\1/' -e "s/^problem .*/$red&$plain/" | indent
    expect "findings" "value_changed|1|$forged"$'\n'"missing|1|$deleted" "$(cat "$home/found")"
    good "found: entry $forged of chain 1 was forged, entry $deleted is gone; nothing else is reported"
    [[ $guard_off -gt 0 ]] || fail "while the triggers were off there was no finding guard_off"
    say "(Had he left the guard off, $guard_off findings guard_off would say so.)"
    local status=0 said
    typed app "SELECT notary.assert_intact('changes');"
    said=$(psql_as app -c "SELECT notary.assert_intact('changes')" 2>&1) || status=$?
    [[ $status -ne 0 && $said == "ERROR:  XX001: "* ]] || fail "assert_intact raised no XX001: $said"
    sed -n 1p <<<"$said" | refusal
}

# ---- seals ----

auditor=
verifier=$NOTARY_TARGET/release/notary-verify

# Shows what somebody outside of the database types.
outside() { printf '  %s%s$%s %s\n' "$dim" "auditor" "$plain" "$1"; }

seal() {
    auditor=$home/auditor
    mkdir "$auditor"
    psql_as postgres -c "ALTER DATABASE shop SET notary.origin = 'db.example.com'" \
        -c "ALTER DATABASE shop SET notary.signing_key_file = 'demo.key'"
    psql_as app -c "CREATE TABLE payments (id int, amount numeric, who text)" -c "SET client_min_messages = warning" \
        -c "\\o /dev/null" -c "SELECT notary.protect('payments')" \
        -c "INSERT INTO payments SELECT i, i * 9.5, 'customer ' || i % 40 FROM generate_series(1, 1000) AS i"
    typed postgres "SELECT * FROM notary.generate_key();"
    psql_as postgres -A -t -c "SELECT verifier_key FROM notary.generate_key() WHERE log = 'payments'::regclass" >"$auditor/keys"
    say "A log of payments has 1,000 entries. Its verifier key goes to an auditor, by another way."
    typed app "CALL notary.seal('payments');"
    # psql ends a value with a newline of its own.
    psql_as app -A -t -c "CALL notary.seal('payments')" | sed '$d' >"$auditor/note"
    indent <"$auditor/note"
    [[ $(wc -l <"$auditor/note") -eq 5 ]] || fail "the seal is no signed note: $(cat "$auditor/note")"
    say "The note leaves the machine, and with it go proof files to whoever asks for one."
    typed app "SELECT notary.proof(tableoid, notary_chain, notary_seq) FROM payments WHERE id = 417;"
    psql_as app -A -t -c "SELECT notary.proof(tableoid, notary_chain, notary_seq) FROM payments WHERE id = 417" |
        sed '$d' >"$auditor/417.proof"
    psql_as app -c "\\o /dev/null" -c "INSERT INTO payments VALUES (1001, 12, 'customer 1')"
}

# Changes payment 417, computes its hash and all later ones of the chain anew, and removes the seals.
REWRITE="DO \$\$
DECLARE s bigint; h bytea; before bytea;
BEGIN
    UPDATE payments SET amount = 1 WHERE id = 417;
    FOR s IN SELECT notary_seq FROM payments WHERE notary_seq >= 417 ORDER BY 1 LOOP
        IF before IS NOT NULL THEN UPDATE payments SET notary_prev = before WHERE notary_seq = s; END IF;
        h := sha256(convert_to(notary.line('payments', 1, s), 'UTF8'));
        UPDATE payments SET notary_hash = h WHERE notary_seq = s;
        before := h;
    END LOOP;
    DELETE FROM notary.seal_store;
    UPDATE notary.tree SET size = 0;
END\$\$"

convict() {
    local off="UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'payments'::regclass"
    say "He has learned: he changes payment 417, computes its hash and all later ones of the chain anew,"
    say "and deletes the seals in the database. Nothing in it shows what he did:"
    psql_as postgres -c "$off"
    psql_as postgres -c "$REWRITE"
    psql_as postgres -c "${off/\'D\'/\'A\'}"
    asks app "SELECT intact, findings FROM notary.verify('payments')"
    expect "verify of the chain alone" "t|0" "$(ask "SELECT intact, findings FROM notary.verify('payments')")"
    say "The auditor hands in the note that he kept:"
    typed app "SELECT problem, chain, seq, detail FROM notary.findings('payments', note => :'note' || E'\n');"
    local found
    found=$(psql_as app -A -t -F ' ' -v note="$(cat "$auditor/note")" <<<"SELECT problem, chain, seq, detail FROM notary.findings('payments', note => :'note' || E'\n')")
    [[ $found == "rewritten 1 256 "* && $(wc -l <<<"$found") -eq 1 ]] || fail "the note did not convict him: $found"
    printf '%s\n' "$red$found$plain" | indent
    good "convicted: the note of size 1,001 commits to other entries from 256 on, in blocks of 256"
}

prove() {
    say "The auditor has the key, the note and the file 417.proof, and no database:"
    outside "notary-verify proof --keys keys --show-line 417.proof"
    (cd "$auditor" && "$verifier" proof --keys keys --show-line 417.proof) >"$home/proved" 2>&1 || fail "the proof: $(cat "$home/proved")"
    indent <"$home/proved"
    grep -q '"id":417,' "$home/proved" || fail "the proof does not show the entry: $(cat "$home/proved")"
    # A proof that was tampered with.
    sed 's/^index 417$/index 418/' "$auditor/417.proof" >"$auditor/forged.proof"
    outside "notary-verify proof --keys keys forged.proof"
    local status=0
    (cd "$auditor" && "$verifier" proof --keys keys forged.proof) >"$home/proved" 2>&1 || status=$?
    expect "the exit code for a forged proof" 1 "$status"
    sed "s/.*/$red&$plain/" "$home/proved" | indent
    good "proved: payment 417 stood in the log when the note was made; a forged proof is refused"
}

# ---- the trail ----

# A request of the application: one transaction, in which it says who acts.
request() {
    local context=$1
    shift
    local commands=()
    for command in "$@"; do commands+=(-c "$command"); done
    psql_as app -c "\\o /dev/null" -c "BEGIN" -c "SELECT notary.set_context($context)" "${commands[@]}" -c "COMMIT"
}

day() {
    psql_as postgres -c "SET client_min_messages = warning" -c "\\o /dev/null" \
        -c "SELECT notary.create_log('trail', writer => 'app')" \
        -c "CREATE TABLE customers (id int PRIMARY KEY, name text, email text, balance numeric)" \
        -c "GRANT SELECT, INSERT, UPDATE ON customers TO app" \
        -c "SELECT notary.track('customers', 'trail', pii => '{email}')"
    typed postgres "SELECT notary.create_log('trail', writer => 'app');"
    typed postgres "SELECT notary.track('customers', 'trail', pii => '{email}');"
    request "actor => 'web', ip => '203.0.113.5'" \
        "INSERT INTO customers SELECT i, 'Customer ' || i, 'c' || i || '@example.com', 100 FROM generate_series(1, 40) AS i"
    local i
    for i in 3 7 12; do
        request "actor => 'ann', actor_role => 'support', ip => '203.0.113.5'" \
            "INSERT INTO trail (action, resource_type, resource_id, pii, pii_fields) VALUES ('customer.pii.view', 'public.customers', '$i', true, '{email}')" \
            "UPDATE customers SET balance = balance - $i WHERE id = $i"
    done
    say "An application's day: 40 customers, and Ann of the support looks at three and corrects their balance."
    say "The events are written in the transactions of the changes; the e-mail addresses stay out of the log:"
    asks postgres "SELECT action, actor, old_value, new_value - 'email' AS new_value, left(new_value ->> 'email', 13) AS email FROM trail WHERE resource_id = '7' ORDER BY id"
    expect "e-mail addresses in the log" 0 "$(ask "SELECT count(*) FROM trail AS t WHERE t::text LIKE '%@example.com%'")"
}

break_in() {
    local i events=''
    for i in $(seq 1 24); do
        events+="{\"event_type\": \"auth.failure\", \"actor\": {\"userId\": \"admin\", \"ipAddress\": \"198.51.100.66\"}, \"result\": \"failed\"},"
    done
    events+='{"event_type": "auth.login", "actor": {"userId": "admin", "role": "admin", "ipAddress": "198.51.100.66"}},'
    events+='{"event_type": "pii.export", "actor": {"userId": "admin", "role": "admin", "ipAddress": "198.51.100.66"},
              "resource": {"type": "public.customers"}, "details": {"records": 40}, "pii_fields": ["email"]}'
    psql_as app -v events="[$events]" <<<"SELECT notary.log_events('trail', :'events')" >/dev/null
    # And by hand, with no application in between.
    psql_as postgres -c "UPDATE customers SET balance = 1000000 WHERE id = 12"
    say "At night somebody tries 24 passwords, gets in as admin, exports all customers; and in psql customer 12 becomes rich."
}

views() {
    asks postgres "SELECT kind, failures, actors, sources FROM notary.auth_bursts"
    [[ $(ask "SELECT count(*) FROM notary.auth_bursts WHERE failures = 24 AND '198.51.100.66' = ANY (sources)") -ge 1 ]] ||
        fail "the burst of failures is in no report"
    asks postgres "SELECT actor, actor_role, action, events, fields, sources FROM notary.pii_access ORDER BY first_at"
    expect "PII exports" "admin|1" "$(ask "SELECT actor, events FROM notary.pii_access WHERE action = 'pii.export'")"
    local history="FROM notary.resource_history('public.customers', '12') WHERE action LIKE '%.update'"
    asks postgres "SELECT action, actor, db_user, application_name, old_value, new_value $history"
    expect "what happened to customer 12" "ann|app"$'\n'"postgres|postgres" "$(ask "SELECT actor, db_user $history")"
    expect "verify of the trail" "t" "$(ask "SELECT intact FROM notary.verify('trail')")"
    good "shown: who tried, who got in, what left, and who changed customer 12 round the application"
}

start_server
printf '%spg_notary on PostgreSQL %s%s: a throw-away server, gone when this ends\n' "$bold" "${version%% *}" "$plain"
heading "1. A table of events, as an application has it"
load_events
heading "2. It becomes a log"
protect
heading "3. Applications go on inserting"
start_pgbench
heading "4. What is refused, to its owner and to a superuser alike"
attempts
heading "5. Is it what it was?"
end_pgbench
verify
heading "6. A superuser goes round the guard"
forge
heading "7. What verification says of that"
findings
heading "8. A seal leaves the machine"
seal
heading "9. A superuser computes everything anew"
convict
heading "10. One entry, proved to somebody who has no database"
prove
heading "11. An application's day, in an event log"
day
heading "12. A break-in"
break_in
heading "13. What the report views say of it"
views
heading "Next"
say "make install PG_CONFIG=/path/to/pg_config     puts it into your server; then, in psql:"
say "CREATE EXTENSION pg_notary;"
say "SELECT notary.protect('your_table');"
say "README.md says what is detected and what is not."
