"""Ends the sessions of before sessions were listed: nobody could see them, or end them by signing out everywhere."""

from django.db import migrations


def end(apps, schema_editor):
    listed = apps.get_model("usersessions", "UserSession").objects.values("session_key")
    apps.get_model("sessions", "Session").objects.exclude(session_key__in=listed).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("changes", "0019_security_log"),
        ("sessions", "0001_initial"),
        ("usersessions", "0001_initial"),
    ]

    operations = [migrations.RunPython(end, migrations.RunPython.noop)]
