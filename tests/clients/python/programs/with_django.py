# Django 5 on psycopg, as an ordinary role that owns the log. What it prints is compared with expected/.
import os
import sys
import types

import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"]}},
    INSTALLED_APPS=["shop"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)

# An app named shop, in memory.
from django.apps import AppConfig

shop = types.ModuleType("shop")
shop.__path__ = []
sys.modules["shop"] = shop


class ShopConfig(AppConfig):
    name = label = "shop"
    path = "/nonexistent"


shop.ShopConfig = ShopConfig
settings.INSTALLED_APPS = [f"shop.{ShopConfig.__name__}"]
django.setup()

from django.db import DatabaseError, connection, migrations, models, transaction
from django.db.migrations.state import ProjectState


class Audit(models.Model):
    actor = models.TextField()
    action = models.TextField()
    details = models.JSONField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "shop"


def say(what, *result):
    print(what + ":", *result)


def refused(what, work):
    try:
        with transaction.atomic():
            work()
            say(what, "WORKED")
            transaction.set_rollback(True)
    except DatabaseError as e:
        say(what, type(e).__name__, e.__cause__.sqlstate, "|", e.__cause__.diag.message_primary)
        if what.startswith("AddField"):
            say("  HINT", e.__cause__.diag.message_hint)


# ---- migrations: the first makes the table and protects it ----
class Initial(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Audit", [
            ("id", models.BigAutoField(primary_key=True)),
            ("actor", models.TextField()),
            ("action", models.TextField()),
            ("details", models.JSONField(null=True)),
            ("at", models.DateTimeField(auto_now_add=True)),
        ]),
        migrations.RunSQL(
            "SELECT notary.protect('shop_audit')",
            "SELECT notary.unprotect('shop_audit', 'migration 0001 is taken back')",
        ),
    ]


def apply(name, *operations):
    """Applies operations to what has been migrated so far, in a transaction, as a migration does."""
    global state
    migration = migrations.Migration(name, "shop")
    migration.operations = operations
    with connection.schema_editor(atomic=True) as editor:
        after = migration.apply(state.clone(), editor)
    if name != "bad":
        state = after


state = ProjectState()
apply("0001_initial", *Initial.operations)

# ---- writing ----
entry = Audit(actor="ann", action="login", details={"ip": "192.0.2.7"})
entry.save()
say("save", entry.pk)
created = Audit.objects.bulk_create([Audit(actor="bob", action=f"step {n}") for n in range(500)])
say("bulk_create", len(created), all(a.pk for a in created))
Audit.objects.bulk_create([Audit(pk=1, actor="x", action="x")], ignore_conflicts=True)
say("bulk_create with ignore_conflicts", Audit.objects.get(pk=1).actor)
say("get_or_create", Audit.objects.get_or_create(actor="ann", action="login")[1])
with transaction.atomic():
    Audit.objects.create(actor="carl", action="kept")
    try:
        with transaction.atomic():
            Audit.objects.create(actor="carl", action="never")
            raise ValueError
    except ValueError:
        pass
say("nested atomic", list(Audit.objects.filter(actor="carl").values_list("action", flat=True)))

# ---- what is refused ----
refused("save of a row that is there", lambda: entry.save())
refused("update", lambda: Audit.objects.update(actor="x"))
refused("delete", lambda: entry.delete())
refused("update_or_create", lambda: Audit.objects.update_or_create(actor="ann", defaults={"action": "x"}))
refused("bulk_create with update_conflicts", lambda: Audit.objects.bulk_create(
    [Audit(pk=1, actor="x", action="x")],
    update_conflicts=True, unique_fields=["id"], update_fields=["actor"]))

# ---- migrations on a log ----
apply("0002_origin", migrations.AddField("audit", "origin", models.TextField(null=True)))
say("AddField(null=True)", "worked")
refused("AddField(default=…)", lambda: apply(
    "bad", migrations.AddField("audit", "channel", models.TextField(default="web"))))
refused("AddField(null=True, db_default=…)", lambda: apply(
    "bad", migrations.AddField("audit", "channel", models.TextField(null=True, db_default="web"))))
apply(
    "0003_channel",
    migrations.AddField("audit", "channel", models.TextField(null=True)),
    migrations.AlterField("audit", "channel", models.TextField(null=True, db_default="web")),
)
say("AddField, then AlterField with db_default", "worked")
apply("0004_index", migrations.AddIndex("audit", models.Index(fields=["actor"], name="audit_actor")))
say("AddIndex", "worked")
refused("RemoveField", lambda: apply("bad", migrations.RemoveField("audit", "details")))
refused("AlterField to another type", lambda: apply(
    "bad", migrations.AlterField("audit", "actor", models.CharField(max_length=10))))

New = state.apps.get_model("shop", "Audit")
New.objects.create(actor="dan", action="new columns", origin="mail")
say("new columns", *New.objects.values_list("origin", "channel").get(actor="dan"))

# ---- a test suite that empties its tables ----
from django.core.management.color import no_style

flush = connection.ops.sql_flush(no_style(), ["shop_audit"])
say("TransactionTestCase says", *flush)
refused("flush", lambda: connection.ops.execute_sql_flush(flush))

with connection.cursor() as cursor:
    cursor.execute("SELECT log::text, intact, entries FROM notary.verify('shop_audit')")
    log, intact, entries = cursor.fetchone()
say("verify", log, "intact" if intact else "DAMAGED", entries)
