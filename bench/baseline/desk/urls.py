"""`POST /api/v1/operations/`, as ours; and the same with a task that tells a partner of the row, under `handover/`."""

import json
import os
from functools import partial
from typing import Any

from django.db import transaction
from django.urls import path
from rest_framework.generics import CreateAPIView
from rest_framework.serializers import BaseSerializer, ModelSerializer

from bench.baseline.celery_post.tasks import post

from .models import Record


class RecordSerializer(ModelSerializer):
    class Meta:
        model = Record
        fields = "__all__"


class RecordView(CreateAPIView):
    queryset = Record.objects.all()
    serializer_class = RecordSerializer

    def get_serializer(self, *args: Any, data: Any = None, **kwargs: Any) -> Any:
        # The fields of `properties` are columns as the others are.
        flat = {**data, **data["properties"]}
        return super().get_serializer(*args, data=flat, **kwargs)


class HandoverView(RecordView):
    """The row and its task: published when the row is committed, as Celery's documentation says."""

    def perform_create(self, serializer: BaseSerializer[Record]) -> None:
        with transaction.atomic():
            record = serializer.save()
            body = json.dumps({"id": record.pk, **serializer.data})
            transaction.on_commit(partial(post.delay, f"{os.environ['SINK']}/{record.system_id}", body))


urlpatterns = [path("api/v1/operations/", RecordView.as_view()), path("handover/", HandoverView.as_view())]
