"""Storage of style sheets and scripts."""

from django.core.files import File
from whitenoise.storage import CompressedManifestStaticFilesStorage


class CollectedOrPlainStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Serves hashed, compressed files after `collectstatic`, and plain files before it.

    Without this fallback, a server that was started before `collectstatic` would answer 500 on each page.
    WhiteNoise serves the plain files through the staticfiles finders.
    """

    manifest_strict = False

    def hashed_name(self, name: str, content: File | None = None, filename: str | None = None) -> str:
        if content is None and not self.hashed_files:
            return name
        return super().hashed_name(name, content, filename)
