"""Validators for the address and the secrets of an external system."""

from django.core.exceptions import ValidationError

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
