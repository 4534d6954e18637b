from django.db import migrations

from changes.texts.lines import as_line


def tidy(apps, schema_editor):
    """Names as every way in takes them now. One whose tidy name is taken stays as it is."""
    groups = apps.get_model("changes", "SupportGroup").objects.using(schema_editor.connection.alias)
    for pk, name in list(groups.values_list("pk", "name")):
        line = as_line(name)
        if line and line != name and not groups.filter(name=line).exists():
            groups.filter(pk=pk).update(name=line)


class Migration(migrations.Migration):
    dependencies = [("changes", "0011_comment_format")]

    operations = [migrations.RunPython(tidy, migrations.RunPython.noop, elidable=True)]
