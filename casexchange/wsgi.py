"""The WSGI entry point: any WSGI server runs `casexchange.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")

application = get_wsgi_application()
