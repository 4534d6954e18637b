"""Bodies and headers as other programs send them: accepted, or refused with a hint what to send instead."""

import gzip
import json

import pytest

from changes.models import Change
from tests.factories import ChangeFactory

pytestmark = pytest.mark.django_db
CHANGES = "/api/v1/changes/"


def test_a_body_is_read_or_refused_with_what_to_send(alice, api, acme, partner_api):
    body = json.dumps({"title": "Größe"}, ensure_ascii=False).encode()
    ascii_body, kind = json.dumps({"title": "T"}).encode(), "application/json"
    operation = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "T"}}
    for content, content_type, headers, status, said in [
        (b"\xef\xbb\xbf" + body, kind, {}, 201, ""),
        (body, f"{kind}; charset=UTF-8", {}, 201, ""),
        (body, f'{kind};charset="utf-8"', {}, 201, ""),
        (ascii_body, f"{kind}; charset=us-ascii", {}, 201, ""),
        (body, kind, {"Content-Encoding": "identity"}, 201, ""),
        (body, kind, {"Accept-Encoding": "gzip, deflate, br, zstd, identity;q=0"}, 201, ""),
        (body, kind, {"Accept": "application/json; charset=utf-8"}, 201, ""),
        (body, kind, {"Accept": "text/html, application/xhtml+xml, */*;q=0.8"}, 201, ""),
        (body, kind, {"Expect": "100-continue"}, 201, ""),
        (gzip.compress(body), kind, {"Content-Encoding": "gzip"}, 415, "Content-Encoding gzip is not taken"),
        (body, kind, {"Content-Encoding": "GZIP"}, 415, "Content-Encoding gzip is not taken"),
        (body, kind, {"Content-Encoding": "br"}, 415, "Content-Encoding br is not taken"),
        (body.decode().encode("utf-16"), kind, {}, 400, "not UTF-8"),
        (body, f"{kind}; charset=latin-1", {}, 415, "UTF-8"),
        (b"\xef\xbb\xbf\xef\xbb\xbf" + body, kind, {}, 400, "Not JSON"),
    ]:
        count = Change.objects.count()
        answer = api(alice).generic("POST", CHANGES, content, content_type, headers=headers)
        assert answer.status_code == status, (content_type, headers, answer.content)
        assert Change.objects.count() == count + (status == 201)
        if said:
            assert said in answer.json()["detail"]
    packed = gzip.compress(json.dumps(operation).encode())
    answer = partner_api(acme).generic(
        "POST", "/api/v1/operations/", packed, kind, headers={"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 415 and "Content-Encoding gzip" in answer.json()["detail"]
    marked = b"\xef\xbb\xbf" + json.dumps(operation).encode()
    assert partner_api(acme).generic("POST", "/api/v1/operations/", marked, kind).status_code == 201
    change = ChangeFactory()
    upload = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--x--\r\n'
    answer = api(alice).generic(
        "POST",
        f"{CHANGES}{change.number}/attachments/",
        gzip.compress(upload),
        "multipart/form-data; boundary=x",
        headers={"Content-Encoding": "gzip"},
    )
    assert answer.status_code == 415
