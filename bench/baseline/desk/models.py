"""One row for each incoming operation, with a column for each field of the payload."""

from django.db import models


class Record(models.Model):
    system_id = models.CharField(max_length=100)
    operation = models.CharField(max_length=6)
    external_id = models.CharField(max_length=255)
    external_url = models.URLField(max_length=1000, blank=True)
    external_status = models.CharField(max_length=200, blank=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    change_type = models.CharField(max_length=10)
    category = models.CharField(max_length=200, blank=True)
    service = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    justification = models.TextField(blank=True)
    risk = models.CharField(max_length=6, null=True, blank=True)
    business_impact = models.CharField(max_length=16)
    urgency = models.CharField(max_length=18)
    implementation_plan = models.TextField(blank=True)
    backout_plan = models.TextField(blank=True)
    planned_start = models.DateTimeField(null=True, blank=True)
    planned_end = models.DateTimeField(null=True, blank=True)
    owning_group = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.external_id
