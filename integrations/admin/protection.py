"""Deleting what is in use."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db.models import PROTECT
from django.http import HttpRequest
from django.utils.text import capfirst

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as _ModelAdmin
else:
    _ModelAdmin = object  # a mixin, which stands before the ModelAdmin that it is mixed into


class CountsWhatProtects(_ModelAdmin):
    """Mixed into a ModelAdmin: what forbids deleting is counted, not listed, since it may be many thousands."""

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Any:
        objs = list(objs)
        protected = []
        for relation in self.model._meta.related_objects:
            if relation.on_delete is not PROTECT:
                continue
            using = relation.related_model._default_manager.filter(**{f"{relation.field.name}__in": objs})
            if count := using.count():
                options = relation.related_model._meta
                name = options.verbose_name if count == 1 else options.verbose_name_plural
                protected.append(f"{capfirst(name)}: {count}")
        if protected:
            return [], {}, set(), protected
        return super().get_deleted_objects(objs, request)
