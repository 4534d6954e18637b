"""Redmine 5, as Debian packages it, with a project "Changes" and an account of ours that may work in it."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from ..processes import start
from .desk import OLD, OPENED_BY_US, PERSON, PERSON_NAME, Desk, kept, run

_HOME = Path("/usr/share/redmine")
OVERLAP = 5  # seconds, as in the preset
_SEED = r"""
Redmine::DefaultData::Loader.load("en")
Setting.rest_api_enabled = 1
Setting.text_formatting = "common_mark"
number = IssueCustomField.create!(name: "Change number", field_format: "string", is_for_all: true, is_filter: true,
                                  searchable: true, tracker_ids: Tracker.pluck(:id))
project = Project.create!(name: "Changes", identifier: "changes", is_public: false, tracker_ids: Tracker.pluck(:id),
                          issue_custom_field_ids: [number.id])
role = Role.find_by!(name: "Manager")
users = [["OURS", "Case", "Exchange"], ["PERSON", *"PERSON_NAME".split]].map do |login, first, last|
  user = User.new(firstname: first, lastname: last, mail: "#{login}@redmine.example")
  user.login, user.password = login, "PASSWORD"
  user.save!
  Member.create!(principal: user, project: project, roles: [role])
  user
end
Issue.create!(project: project, tracker: Tracker.first, author: users.last, subject: "OLD_TITLE")
puts users.first.api_key, users.first.id, number.id
"""


class Redmine(Desk):
    account: int  # the id of our account
    number_field: int  # the id of the custom field "Change number"

    def start(self) -> None:
        seed = _SEED.replace("PASSWORD", self.password).replace("PERSON_NAME", PERSON_NAME)
        seed = seed.replace("OLD_TITLE", OLD)
        seed = seed.replace("PERSON", PERSON).replace("OURS", OPENED_BY_US)
        prepared = kept("redmine", seed, lambda folder: self._prepare(folder, seed))
        home = self._configure(self.folder, prepared / "Gemfile.lock")
        shutil.copy(prepared / "redmine.sqlite", self.folder)
        # The first poll asks again for the last seconds before it. What is there already must be older.
        age = time.time() - (prepared / "seed").stat().st_mtime
        time.sleep(max(0.0, OVERLAP + 1 - age))
        token, account, number_field = (prepared / "seed").read_text().split()
        self.token, self.account, self.number_field = token, int(account), int(number_field)
        self.person.auth = (PERSON, self.password)
        options = ["--using", "webrick", "--binding", "127.0.0.1", "--port", str(self.port)]
        self.process = start(
            [str(home / "bin" / "rails"), "server", *options, "--pid", str(self.folder / "pid")],
            log=self.folder / "log",
            environment=self._environment(self.folder),
            cwd=home,
        )
        self.until_ready()

    def is_answering(self) -> bool:
        return self.person.get(f"{self.url}/projects/changes.json", timeout=30).ok

    def _environment(self, folder: Path) -> dict[str, str]:
        gemfile = folder / "app" / "Gemfile"
        return {
            # The tests have this variable for their own database, and Rails would take it.
            "DATABASE_URL": f"sqlite3:{folder / 'redmine.sqlite'}",
            "RAILS_ENV": "production",
            "BUNDLE_GEMFILE": str(gemfile),
            "HOME": str(folder),
            "SCHEMA": str(folder / "schema.rb"),
            "RUBYOPT": "-W0",
            "TZ": "UTC",
        }

    def _configure(self, folder: Path, lock: Path) -> Path:
        """Makes a copy of the program. The package looks for its data in /var/lib/redmine, a copy beside itself."""
        home = folder / "app"
        left_out = shutil.ignore_patterns("instances", "Gemfile.lock", "database.yml")
        shutil.copytree(_HOME, home, symlinks=True, ignore=left_out)
        shutil.copy(lock, home / "Gemfile.lock")
        (home / "Gemfile.local").write_text('gem "sqlite3", "~> 1.4"\ngem "webrick"\n')
        instance = home / "instances" / "default"
        for name in ("config", "files", "log", "tmp", "public/plugin_assets"):
            (instance / name).mkdir(parents=True)
        database = f"production: {{adapter: sqlite3, database: {folder / 'redmine.sqlite'}, timeout: 15000}}\n"
        for place in (home, instance):
            (place / "config" / "database.yml").write_text(database)
        (instance / "config" / "secret_key.txt").write_text(secrets.token_hex(64))
        settings = f"attachments_storage_path: {instance / 'files'}, email_delivery: {{delivery_method: :test}}"
        (home / "config" / "configuration.yml").write_text(f"production: {{{settings}}}\n")
        return home

    def _prepare(self, folder: Path, seed: str) -> None:
        home = self._configure(folder, Path("/var/lib/redmine/Gemfile.lock"))
        (folder / "seed.rb").write_text(seed)
        environment = self._environment(folder)
        run(["bundle", "install", "--local", "--quiet"], cwd=home, environment=environment)
        run(["bin/rake", "--silent", "db:migrate"], cwd=home, environment=environment)
        printed = run(["bin/rails", "runner", str(folder / "seed.rb")], cwd=home, environment=environment)
        (folder / "seed").write_text(printed)
        (home / "Gemfile.lock").rename(folder / "Gemfile.lock")
        shutil.rmtree(home)

    # --- What its people do ---

    def records_of(self, number: str) -> list[str]:
        query = {"status_id": "*", f"cf_{self.number_field}": number}
        issues = self.call("GET", "/projects/changes/issues.json", params=query)["issues"]
        return [str(issue["id"]) for issue in issues]

    def issue(self, record: str) -> dict[str, Any]:
        return self.call("GET", f"/issues/{record}.json", params={"include": "journals,attachments"})["issue"]

    def title(self, record: str) -> str:
        return self.issue(record)["subject"]

    def status(self, record: str) -> str:
        return self.issue(record)["status"]["name"]

    def texts(self, record: str) -> list[str]:
        return [journal["notes"] for journal in self.issue(record)["journals"] if journal["notes"]]

    def files(self, record: str) -> list[tuple[str, bytes]]:
        found = self.issue(record)["attachments"]
        return [(file["filename"], self.call("GET", f"/attachments/download/{file['id']}")) for file in found]

    def open(self, title: str, text: str, **more: Any) -> str:
        fields = {"project_id": "changes", "subject": title, "description": text, **more}
        return str(self.call("POST", "/issues.json", json={"issue": fields})["issue"]["id"])

    def reply(self, record: str, text: str) -> None:
        self._edit(record, notes=text)

    def attach(self, record: str, file_name: str) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        upload = self.call("POST", "/uploads.json", params={"filename": file_name}, data=b"x", headers=headers)[
            "upload"
        ]
        self._edit(record, uploads=[{"token": upload["token"], "filename": file_name}])

    def remove_file(self, record: str, file_name: str) -> None:
        (file,) = [file for file in self.issue(record)["attachments"] if file["filename"] == file_name]
        self.call("DELETE", f"/attachments/{file['id']}.json")

    def note(self, record: str, text: str) -> None:
        self._edit(record, notes=text, private_notes=True)

    def set_status(self, record: str, status: str) -> None:
        known = self.call("GET", "/issue_statuses.json")["issue_statuses"]
        self._edit(record, status_id=next(one["id"] for one in known if one["name"] == status))
        assert self.status(record) == status

    def _edit(self, record: str, **fields: Any) -> None:
        self.call("PUT", f"/issues/{record}.json", json={"issue": fields})
