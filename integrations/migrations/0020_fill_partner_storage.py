"""Counts the files that partners have sent so far."""

from django.db import migrations
from django.db.models import Sum


def fill(apps, schema_editor):
    attachments, storage = apps.get_model("changes", "Attachment"), apps.get_model("integrations", "PartnerStorage")
    sums = attachments.objects.exclude(source_system=None).values_list("source_system").annotate(Sum("size")).order_by()
    systems = dict(apps.get_model("integrations", "ExternalSystem").objects.values_list("system_id", "pk"))
    storage.objects.bulk_create(
        storage(system_id=systems[system], bytes=size) for system, size in sums if system in systems
    )


class Migration(migrations.Migration):
    dependencies = [
        ("changes", "0018_found_clean_at"),
        ("integrations", "0019_partner_storage"),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
