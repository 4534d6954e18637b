"""A client of an SMAX: what a service desk runs to exchange changes with one by its Case Exchange REST API.

It knows SMAX only: nothing here is shared with our side of that protocol. It keeps no state but its token and the time
of its last poll, so whoever uses it keeps the records.

    adapter = SmaxAdapter("https://desk.example.com", "acme-integration", password, "ACME")
    for element in adapter.poll():
        adapter.answer(element.id, external_id="C-1001", external_status="Assigned")
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

FEED_LAYOUT = "Id,DisplayLabel,PhaseId,OwnedByGroup,OwnedByGroup.Name,LastUpdateTime"
REFERENCE_LAYOUT = "Id,EntityId,ExternalId,ExternalEntityType,ExternalStatus,ExternalSystem.SystemId"
SIGN_IN = "/auth/authentication-endpoint/authenticate/login"


class Refused(Exception):  # noqa: N818 - says what SMAX did
    """SMAX refused a call. `status`: the HTTP status, or that of the entity. `message`: what it said."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


@dataclass(frozen=True)
class Element:
    """One element of the feed: an operation on a record. `external_id` is "" until we have named ours."""

    id: str
    operation: str
    properties: Mapping[str, Any]
    related: Mapping[str, Any]
    external_id: str = ""


@dataclass(frozen=True)
class File:
    """A file of a record, as `{Type}Attachments` names it."""

    guid: str
    name: str
    size: int = 0
    content_type: str = "application/octet-stream"

    @property
    def as_property(self) -> dict[str, Any]:
        named = {"id": self.guid, "file_name": self.name, "size": self.size, "mime_type": self.content_type}
        return {"properties": named}


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise Refused(self.status, f"This is not JSON: {self.content[:200]!r}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@dataclass
class SmaxAdapter:
    """`system_id`: our SystemId there. `entity_type`: what we call a change. `since`: the next poll's `time`, in ms.

    Each method makes one call, and signs in first if it must. Raises Refused, or OSError if there is no answer.
    """

    base_url: str
    username: str
    password: str = field(repr=False)
    system_id: str
    tenant: str = "default"
    entity_type: str = "Change"
    timeout: float = 15
    token: str = field(default="", repr=False)
    since: int = 0

    # --- Signing in ---

    def sign_in(self) -> str:
        """The token, which later calls bring as a cookie."""
        login = json.dumps({"login": self.username, "password": self.password}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._send("POST", f"{SIGN_IN}?TENANTID={self.tenant}", login, headers)
        self.token = answer.content.decode()
        return self.token

    # --- The feed ---

    def poll(self, layout: str = FEED_LAYOUT, size: int = 4000) -> list[Element]:
        """All waiting operations recorded since the last poll, in order. The next poll asks from this answer on."""
        found: list[Element] = []
        since = None
        while True:
            query = {
                "layout": layout,
                "type": self.entity_type,
                "system": self.system_id,
                "time": str(self.since),
                "skip": str(len(found)),
                "size": str(size),
            }
            answer = self._call("GET", f"/ces?{urlencode(query)}")
            # Of the first page: what is recorded while we read the others must not be missed.
            since = since or int(parsedate_to_datetime(answer.headers["date"]).timestamp()) * 1000
            said = answer.json()
            page = [_element(entity) for entity in said["entities"]]
            found += page
            if not page or len(found) >= said["meta"]["total_count"]:
                self.since = since
                return found

    # --- Reading ---

    def read(self, record: str, layout: str = "FULL_LAYOUT") -> dict[str, Any]:
        """The properties of a record. Related ones, such as the name of its group, are under `related`."""
        said = self._call("GET", f"/ems/{self.entity_type}/{quote(record)}?{urlencode({'layout': layout})}").json()
        (entity,) = said["entities"]
        return {**entity["properties"], "related": entity.get("related_properties", {})}

    def find(self, filter_: str = "", layout: str = "Id,DisplayLabel", **query: str) -> list[dict[str, Any]]:
        """The properties of the records that a filter finds, such as `PhaseId='Plan'`."""
        asked = {"layout": layout, **({"filter": filter_} if filter_ else {}), **query}
        said = self._call("GET", f"/ems/{self.entity_type}?{urlencode(asked)}").json()
        return [entity["properties"] for entity in said["entities"]]

    def reference(self, record: str) -> dict[str, Any] | None:
        """What the record keeps of ours: `ExternalId`, `ExternalStatus`. None if it has no reference to us."""
        filter_ = f"EntityId='{record}' and ExternalSystem.SystemId='{self.system_id}'"
        query = urlencode({"layout": REFERENCE_LAYOUT, "filter": filter_})
        said = self._call("GET", f"/ems/ExternalReference?{query}").json()
        return said["entities"][0]["properties"] if said["meta"]["total_count"] else None

    def comments(self, record: str) -> list[dict[str, Any]]:
        """The public comments of a record, each with `Id`, `Body`, `CreatedTime`, `Submitter`."""
        return self._call("GET", f"/collaboration/comments/{self.entity_type}/{quote(record)}/comments").json()[
            "Comments"
        ]

    def groups(self) -> dict[str, str]:
        """The ids of the support groups, by name."""
        said = self._call("GET", "/ems/PersonGroup?layout=Id,Name").json()
        return {entity["properties"]["Name"]: entity["properties"]["Id"] for entity in said["entities"]}

    # --- Writing ---

    def answer(self, record: str, *, external_id: str, external_status: str = "") -> dict[str, Any]:
        """Answers an Assign: names our record, and nothing else."""
        return self.write("Update", {"Id": record}, {"ExternalId": external_id, "ExternalStatus": external_status})

    def create(
        self, external_id: str, external_status: str = "", comments: Iterable[str] = (), **properties: Any
    ) -> str:
        """Creates a record for one of ours. Returns its Id."""
        ours = {"ExternalId": external_id, "ExternalStatus": external_status}
        return str(self.write("Create", properties, ours, [_comment(body) for body in comments])["properties"]["Id"])

    def update(self, record: str, external_status: str = "", **properties: Any) -> dict[str, Any]:
        return self.write("Update", {"Id": record, **properties}, {"ExternalStatus": external_status})

    def comment(
        self, record: str, body: str, created_time: int | None = None, privacy: str = "PUBLIC"
    ) -> dict[str, Any]:
        """Adds a comment. `created_time`: when it was written here, in ms."""
        said = _comment(body, created_time, privacy)
        return self.write("Update", {"Id": record}, {}, [said])

    def discuss(self, record: str, body: str) -> dict[str, Any]:
        """Adds a public comment by the collaboration call. Returns the comment."""
        said = {"Body": body, "PrivacyType": "PUBLIC", "IsSystem": False}
        path = f"/collaboration/comments/{self.entity_type}/{quote(record)}"
        return self._call("POST", path, json.dumps(said).encode(), {"Content-Type": "application/json"}).json()

    def assign(self, record: str) -> dict[str, Any]:
        return self.write("Assign", {"Id": record})

    def reject(self, record: str) -> dict[str, Any]:
        """Gives the record back. It then knows nothing of ours."""
        nothing = {"ExternalId": "", "ExternalEntityType": "", "ExternalStatus": ""}
        return self.write("Reject", {"Id": record}, nothing)

    def cancel(self, record: str) -> dict[str, Any]:
        return self.write("Cancel", {"Id": record})

    def write(
        self,
        operation: str,
        properties: Mapping[str, Any],
        ours: Mapping[str, str] | None = None,
        comments: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, Any]:
        """Sends one operation. Returns the entity in the answer, with its `properties`."""
        entity: dict[str, Any] = {
            "entity_type": self.entity_type,
            "properties": dict(properties),
            "ext_properties": {"ExternalSystem": self.system_id, "Operation": operation, **(ours or {})},
        }
        if ours and ours.get("ExternalId"):
            entity["ext_properties"].setdefault("ExternalEntityType", self.entity_type)
        if comments:
            entity["Comments"] = [*comments]
        (done,) = self.write_all([entity])
        if done["meta"]["completion_status"] != "OK":
            details = done["meta"].get("errorDetails") or {}
            raise Refused(int(details.get("httpStatus", 0)), str(details.get("message", "")))
        return {**done["entity"], "ext_properties": done.get("ext_properties", {})}

    def write_all(self, entities: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Sends many operations in one request. Returns the outcome of each, also of those that failed."""
        body = json.dumps({"entities": [*entities]}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._call("POST", "/ces?layout=Id,LastUpdateTime", body, headers, raises=False)
        said = answer.json()
        if answer.status >= 400 and not (isinstance(said, dict) and said.get("entities")):
            raise _refused(answer)
        return list(said["entities"])

    # --- Files ---

    def upload(self, name: str, content: bytes, content_type: str = "application/octet-stream") -> File:
        """Uploads a file as a form does. It belongs to no record until it is linked."""
        boundary = uuid.uuid4().hex
        named = f'Content-Disposition: form-data; name="files[]"; filename="{_quoted(name)}"'
        head = f"{named}\r\nContent-Type: {content_type}"
        body = b"\r\n".join([f"--{boundary}".encode(), head.encode(), b"", content, f"--{boundary}--".encode(), b""])
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return _uploaded(self._call("POST", "/ces/attachment", body, headers).json())

    def upload_raw(self, name: str, content: bytes, content_type: str = "application/octet-stream") -> File:
        """As `upload`, with the content as the body, and the name in a header field."""
        # The name goes as raw UTF-8, though a header field is Latin-1 to Python.
        headers = {"fs_filename": name.encode().decode("latin-1"), "Content-Type": content_type}
        return _uploaded(self._call("POST", "/frs/file-list", content, headers).json())

    def link(self, record: str, files: Iterable[File]) -> dict[str, Any]:
        """Links files to a record. The property takes the full list, so the known ones come first."""
        every = [*self.files(record), *files]
        return self.update(record, **{f"{self.entity_type}Attachments": _listed(every)})

    def files(self, record: str) -> list[File]:
        """The files of a record."""
        name = f"{self.entity_type}Attachments"
        text = self.read(record, f"Id,{name}").get(name) or "{}"
        listed = [each["properties"] for each in json.loads(text).get("complexTypeProperties", [])]
        return [File(each["id"], each["file_name"], int(each["size"]), each["mime_type"]) for each in listed]

    def download(self, guid: str) -> bytes:
        return self._call("GET", f"/frs/file-list/{quote(guid)}").content

    # --- Calls ---

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        raises: bool = True,
    ) -> _Answer:
        """A call below /rest/{tenant}. Signs in first if need be, and once more if the token has ended."""
        for is_last in (False, True):
            if not self.token:
                self.sign_in()
            signed = {**(headers or {}), "Cookie": f"LWSSO_COOKIE_KEY={self.token}"}
            try:
                return self._send(method, f"/rest/{self.tenant}{path}", body, signed, raises=raises)
            except Refused as refused:
                if refused.status != 401 or is_last:
                    raise
                self.token = ""
        raise AssertionError("unreachable")

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], *, raises: bool = True
    ) -> _Answer:
        request = urllib.request.Request(self.base_url + path, body, dict(headers), method=method)  # noqa: S310 - ours
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
        try:
            with opener.open(request, timeout=self.timeout) as answer:
                return _read(answer)
        except urllib.error.HTTPError as error:
            answer = _read(error)
            if raises or error.code == 401:
                raise _refused(answer) from error
            return answer


def _read(answer: Any) -> _Answer:
    return _Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())


def _refused(answer: _Answer) -> Refused:
    """The reason in SMAX's answer, or the start of the text if it has another form."""
    try:
        details = json.loads(answer.content)["meta"]["errorDetails"]
        return Refused(answer.status, str(details["message"]))
    except (ValueError, LookupError, TypeError):
        return Refused(answer.status, answer.content[:300].decode(errors="replace"))


def _quoted(name: str) -> str:
    """As browsers write the name of a file into a form."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _uploaded(said: Mapping[str, Any]) -> File:
    return File(said["guid"], said["name"], int(said["contentLength"]), said["contentType"])


def _element(entity: Mapping[str, Any]) -> Element:
    properties, ours = entity["properties"], entity["ext_properties"]
    return Element(
        str(properties["Id"]),
        ours["Operation"],
        properties,
        entity.get("related_properties") or {},
        ours.get("ExternalId") or "",
    )


def _comment(body: str, created_time: int | None = None, privacy: str = "PUBLIC") -> dict[str, Any]:
    said: dict[str, Any] = {"Body": body, "PrivacyType": privacy, "IsSystem": False}
    return said if created_time is None else {**said, "CreatedTime": created_time}


def _listed(files: Iterable[File]) -> str:
    return json.dumps({"complexTypeProperties": [file.as_property for file in files]})
