"""Signals of signing in that neither Django nor django-allauth sends."""

from django.dispatch import Signal

# Somebody ended their sessions everywhere else. Sent in the transaction that ends them, with `request` and `user`.
signed_out_everywhere = Signal()
