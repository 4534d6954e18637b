"""Refusing to delete records that are in use."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db.models import PROTECT
from django.http import HttpRequest
from django.utils.text import capfirst

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as _ModelAdmin
else:
    _ModelAdmin = object  # a mixin: list it before the ModelAdmin among the bases


class CountsWhatProtects(_ModelAdmin):
    """Mixin for a ModelAdmin: counts the records that prevent a deletion. Django would list them, perhaps thousands."""

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
