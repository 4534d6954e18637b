from django.db import migrations


def mark(apps, schema_editor):
    """Marks the authorized users of all systems, except members of staff: a system check names these."""
    alias = schema_editor.connection.alias
    accounts = apps.get_model("integrations", "PartnerAccount").objects.using(alias)
    systems = apps.get_model("integrations", "ExternalSystem").objects.using(alias)
    users = systems.filter(authorized_user__is_staff=False, authorized_user__is_superuser=False)
    for user in users.values_list("authorized_user_id", flat=True).distinct():
        accounts.get_or_create(user_id=user)


class Migration(migrations.Migration):
    dependencies = [("integrations", "0016_what_partners_may_do")]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop, elidable=True)]
