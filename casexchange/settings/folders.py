"""The folders of an installation."""

from pathlib import Path

from casexchange.settings.environment import env, folder

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = folder(Path(env.str("VAR_DIR", str(BASE_DIR / "var"))).absolute())
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", str(VAR_DIR / "media"))).absolute()
