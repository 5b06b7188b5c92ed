# psycopg through PgBouncer in transaction mode, as an ordinary role that owns the log. What it prints is compared with
# expected/.
from concurrent.futures import ThreadPoolExecutor

import psycopg


def say(what, *result):
    print(what + ":", *result)


def connect():
    # Statements prepared on one server connection are not there on the next.
    return psycopg.connect(prepare_threshold=None)


with connect() as conn:
    conn.execute("CREATE TABLE app_audit (id bigserial PRIMARY KEY, actor text NOT NULL, action text NOT NULL)")
    conn.execute("SELECT notary.protect('app_audit')")


def work(client):
    with connect() as conn:
        for n in range(40):
            with conn.transaction():
                conn.execute("INSERT INTO app_audit (actor, action) VALUES (%s, %s)", (f"client {client}", f"first {n}"))
                try:
                    with conn.transaction():
                        conn.execute("INSERT INTO app_audit (actor, action) VALUES ('nobody', 'never')")
                        raise psycopg.Rollback
                except psycopg.Rollback:
                    pass
                conn.execute("INSERT INTO app_audit (actor, action) VALUES (%s, %s)", (f"client {client}", f"then {n}"))
    return n + 1


with ThreadPoolExecutor(16) as clients:
    say("transactions", sum(clients.map(work, range(16))))

with connect() as conn:
    say("entries", conn.execute("SELECT count(*) FROM app_audit").fetchone()[0])
    say("rolled back", conn.execute("SELECT count(*) FROM app_audit WHERE actor = 'nobody'").fetchone()[0])
    chains = conn.execute("SELECT count(DISTINCT notary_chain) FROM app_audit").fetchone()[0]
    say("no more chains than server connections", chains <= 4)
    log, intact, entries = conn.execute("SELECT log::text, intact, entries FROM notary.verify('app_audit')").fetchone()
    say("verify", log, "intact" if intact else "DAMAGED", entries)
