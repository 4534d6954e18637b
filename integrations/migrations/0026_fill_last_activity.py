from django.db import migrations
from django.db.models import F, Max, OuterRef, Subquery
from django.db.models.functions import Greatest

CHUNK = 5000


def fill(apps, schema_editor):
    """What partners said last of their records counts as an activity on the change too."""
    alias = schema_editor.connection.alias
    changes = apps.get_model("changes", "Change").objects.using(alias)
    references = apps.get_model("integrations", "ExternalReference").objects.using(alias)
    last = references.filter(change=OuterRef("pk")).order_by().values("change").annotate(last=Max("updated_at"))
    last_key = references.aggregate(last=Max("change"))["last"] or 0
    for start in range(0, last_key + 1, CHUNK):
        chunk = {"pk__gte": start, "pk__lt": start + CHUNK}
        referenced = changes.filter(pk__in=references.filter(change__gte=start, change__lt=start + CHUNK).values("change"))
        referenced.filter(**chunk).update(
            last_activity_at=Greatest(F("last_activity_at"), Subquery(last.values("last")))
        )


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("integrations", "0025_connections"), ("changes", "0022_fill_last_activity")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
