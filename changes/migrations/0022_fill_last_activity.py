from django.db import migrations
from django.db.models import F, Max, OuterRef, Subquery
from django.db.models.functions import Coalesce, Greatest

CHUNK = 5000
ADDED = ("Comment", "Attachment", "Approval")


def fill(apps, schema_editor):
    """The last activity of each change: its last save, or what was added to it since.

    Each chunk is a transaction of its own, so nobody waits long for its locks.
    """
    alias = schema_editor.connection.alias
    changes = apps.get_model("changes", "Change").objects.using(alias)
    moments = [F("updated_at")]
    for name in ADDED:
        added = apps.get_model("changes", name).objects.using(alias).filter(change=OuterRef("pk")).order_by()
        last = added.values("change").annotate(last=Max("created_at")).values("last")
        moments.append(Coalesce(Subquery(last), F("updated_at")))
    last_key = changes.aggregate(last=Max("pk"))["last"] or 0
    for start in range(0, last_key + 1, CHUNK):
        changes.filter(pk__gte=start, pk__lt=start + CHUNK).update(last_activity_at=Greatest(*moments))


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("changes", "0021_last_activity")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
