"""The administration of external groups, and the operations that a save in the administration generates."""

from changes.models import SupportGroup
from integrations.choices import Operation
from integrations.models import ExternalGroup, OutgoingOperation
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.html_forms import post_form
from tests.pages import text, web


def test_a_support_group_becomes_external_and_changes_given_to_it_go_to_the_partner(ingrid, alice, acme):
    group = SupportGroupFactory(name="ACME Storage")
    address = f"/admin/changes/supportgroup/{group.pk}/change/"
    assert post_form(web(ingrid), address, **{"external_group-0-system": str(acme.pk)}).status_code == 302
    assert group.external_group.system == acme
    assert "ACME" in text(web(ingrid).get("/admin/changes/supportgroup/"))
    assert "ACME Storage" in text(web(ingrid).get(f"/admin/integrations/externalsystem/{acme.pk}/change/"))
    change = ChangeFactory(requested_by=alice)
    post_form(web(alice), f"/admin/changes/change/{change.pk}/change/", owning_group=str(group.pk))
    operation = OutgoingOperation.objects.get()
    assert (operation.system, operation.operation, operation.change) == (acme, Operation.ASSIGN, change)


def test_an_external_group_becomes_internal_again(ingrid, acme):
    group = SupportGroup.objects.get(name="ACME Networks")
    address = f"/admin/changes/supportgroup/{group.pk}/change/"
    post_form(web(ingrid), address, **{"external_group-0-DELETE": "on"})
    assert not ExternalGroup.objects.exists()


def test_a_save_from_the_admin_generates_the_operations_in_order(alice, acme, beta):
    change = ChangeFactory(requested_by=alice, owning_group=SupportGroup.objects.get(name="ACME Networks"))
    servers = SupportGroup.objects.get(name="BETA Servers")
    address = f"/admin/changes/change/{change.pk}/change/"
    typed = {"owning_group": str(servers.pk), "completion_code": "Withdrawn", "comments-0-body": "Over to you"}
    assert post_form(web(alice), address, **typed).status_code == 302
    generated = [(operation.operation, str(operation.system)) for operation in _in_order()]
    assert generated == [
        ("Assign", "ACME"),
        ("Accept", "ACME"),
        ("Assign", "BETA"),
        ("Cancel", "ACME"),
        ("Cancel", "BETA"),
    ], "and no Update for the comment, which came after the Cancel"


def test_a_private_comment_from_the_admin_generates_nothing(alice, acme):
    change = ChangeFactory(requested_by=alice, owning_group=SupportGroup.objects.get(name="ACME Networks"))
    address = f"/admin/changes/change/{change.pk}/change/"
    typed = {"comments-0-body": "Between us", "comments-0-visibility": "private"}
    post_form(web(alice), address, **typed)
    assert [operation.operation for operation in _in_order()] == ["Assign"]
    post_form(web(alice), address, **{"comments-0-body": "For all"})
    assert [operation.operation for operation in _in_order()] == ["Assign", "Update"]


def test_a_refused_save_generates_nothing(alice, acme):
    change = ChangeFactory(requested_by=alice)
    group = SupportGroup.objects.get(name="ACME Networks")
    address = f"/admin/changes/change/{change.pk}/change/"
    response = post_form(web(alice), address, owning_group=str(group.pk), **{"comments-0-body": "x" * 100_001})
    assert response.status_code == 200
    assert not OutgoingOperation.objects.exists()


def _in_order():
    return OutgoingOperation.objects.select_related("system").order_by("created_at", "id")
