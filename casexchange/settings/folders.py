"""The folders of an installation."""

from pathlib import Path

from casexchange.settings.environment import env, folder

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = folder(Path(env.str("VAR_DIR", str(BASE_DIR / "var"))).absolute())
_media = env.str("MEDIA_ROOT", "")
# A folder elsewhere is not created: its disk may not be mounted yet.
MEDIA_ROOT = Path(_media).absolute() if _media else folder(VAR_DIR / "media")
