"""`POST /api/v1/operations/`, as in casexchange. The same under `handover/` also queues a task that POSTs the row."""

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
        # The model has no nested fields, so the `properties` become columns like the others.
        flat = {**data, **data["properties"]}
        return super().get_serializer(*args, data=flat, **kwargs)


class HandoverView(RecordView):
    """Inserts the row, and publishes the task on commit, as Celery's documentation recommends."""

    def perform_create(self, serializer: BaseSerializer[Record]) -> None:
        with transaction.atomic():
            record = serializer.save()
            body = json.dumps({"id": record.pk, **serializer.data})
            transaction.on_commit(partial(post.delay, f"{os.environ['SINK']}/{record.system_id}", body))


urlpatterns = [path("api/v1/operations/", RecordView.as_view()), path("handover/", HandoverView.as_view())]
