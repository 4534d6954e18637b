"""Validators for the fields of an external system."""

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from .transports.http import check_endpoint_url
from .transports.signing import check_secret


def validate_secret(secret: str) -> None:
    try:
        check_secret(secret)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def validate_endpoint_url(url: str) -> None:
    try:
        check_endpoint_url(url)
    except ValueError as error:
        raise ValidationError(str(error)) from error


validate_system_id = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z", _("Use letters, digits, dots, hyphens, underscores.")
)
SYSTEM_ID_MAX_LENGTH = 100


def validate_system_ids(ids: object) -> None:
    """A list of system ids, which need not be registered here."""
    for system_id in ids if isinstance(ids, list) else [None]:
        if not isinstance(system_id, str) or len(system_id) > SYSTEM_ID_MAX_LENGTH:
            raise ValidationError(
                _("Give ids of systems, each of at most %(limit)s characters."), params={"limit": SYSTEM_ID_MAX_LENGTH}
            )
        try:
            validate_system_id(system_id)
        except ValidationError as error:
            raise ValidationError(f"{system_id}: {' '.join(error.messages)}") from error
