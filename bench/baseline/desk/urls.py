"""`POST /api/v1/operations/`, as ours."""

from typing import Any

from django.urls import path
from rest_framework.generics import CreateAPIView
from rest_framework.serializers import ModelSerializer

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


urlpatterns = [path("api/v1/operations/", RecordView.as_view())]
