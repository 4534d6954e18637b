from itertools import groupby

from django.db import migrations, transaction

# The phases from which a plan can still be approved.
PHASES = ["Log", "Evaluate", "Plan", "ApprovePlan"]
PLAN = ("implementation_plan", "backout_plan", "planned_start", "planned_end", "risk", "change_type")
CHUNK = 1000


def fill(apps, schema_editor):
    """Reads from the history who created each change and who altered its plan last.

    An approval that is older than the plan starts a new round, as altering the plan does from now on. Each chunk is a
    transaction of its own, so nobody waits long for its locks.
    """
    alias = schema_editor.connection.alias
    changes = apps.get_model("changes", "Change").objects.using(alias).filter(phase__in=PHASES)
    history = apps.get_model("changes", "HistoricalChange").objects.using(alias)
    approvals = apps.get_model("changes", "Approval").objects.using(alias)
    keys = list(changes.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), CHUNK):
        with transaction.atomic(using=alias):
            fill_these(changes, history, approvals, keys[start : start + CHUNK])


def fill_these(changes, history, approvals, keys):
    names = ("id", "version", "phase", "history_date", "history_user_id", "source_system", *PLAN)
    found = changes.select_for_update().in_bulk(keys)
    records = history.filter(id__in=found).order_by("id", "version").values(*names)
    for key, saves in groupby(records.iterator(), key=lambda record: record["id"]):
        change, altered_at = found[key], None
        before = None
        for save in saves:
            person = None if save["source_system"] else save["history_user_id"]
            if save["version"] == 1:
                change.created_by_id = person
            if before is None or any(before[name] != save[name] for name in PLAN):
                change.plan_altered_by_id = person
                is_in_round = before is not None and before["phase"] == save["phase"] == "ApprovePlan"
                altered_at = save["history_date"] if is_in_round else None
            before = save
        of_round = approvals.filter(change_id=key, round=change.approval_round)
        if altered_at and change.phase == "ApprovePlan" and of_round.filter(created_at__lt=altered_at).exists():
            change.approval_round += 1
    changes.bulk_update(found.values(), ["created_by", "plan_altered_by", "approval_round"], batch_size=100)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("changes", "0015_who_created_and_planned")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
