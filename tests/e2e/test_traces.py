"""Traces: one leads from the request over the database to the call of the partner, and says nothing that is secret."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.exchange import ROOT

TRACED = ("web", "worker")


class Collector:
    """Receives spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            # Otherwise it would close a connection that the exporter wants to use again, and its spans would be lost.
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Logs nothing: the test reads the spans."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in [*self.bodies]]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def queries(self, parent: Any) -> list[str]:
        """The statements that were made within a span."""
        spans = [span for span in self.spans() if span.parent_span_id == parent.span_id]
        return [each.value.string_value for span in spans for each in span.attributes if each.key == "db.statement"]

    def of(self, trace: str) -> dict[str, Any]:
        """The spans of a trace by their names."""
        return {span.name: span for span in self.spans() if span.trace_id.hex() == trace}


@pytest.fixture(scope="module")
def collector(running_exchange) -> Iterator[Collector]:
    """Web server and worker send their spans here, until the end of these tests."""
    collector = Collector()
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    _restart(running_exchange, {**running_exchange.environment, **given})
    yield collector
    _restart(running_exchange, {name: text for name, text in running_exchange.environment.items() if name not in given})
    collector.server.shutdown()
    collector.server.server_close()


def _restart(exchange: Any, environment: dict[str, str]) -> None:
    exchange.environment = environment
    exchange.stop_processes(TRACED)
    for name in TRACED:
        exchange.start_process(name)
    exchange.until("the web server answers", exchange.is_answering)


def test_a_trace_leads_from_the_request_to_the_partner(running_exchange, collector):
    client = running_exchange.api("alice")
    made = client.post("/api/v1/changes/", json={"title": "For Mister Miller", "owning_group": "ACME Networks"})
    trace = made.headers["X-Request-ID"]
    running_exchange.until_received("ACME", made.json()["number"], ["Assign"])

    # The spans come in several batches, in any order.
    ends = {"POST api:changes", "Assign to ACME"}
    running_exchange.until("the trace has both ends", lambda: ends <= {*collector.of(trace)})
    found = collector.of(trace)
    asked, sent = found["POST api:changes"], found["Assign to ACME"]
    assert sent.start_time_unix_nano > asked.start_time_unix_nano
    told = {attribute.key: attribute.value for attribute in sent.attributes}
    assert told["casexchange.system"].string_value == "ACME"
    assert told["casexchange.http_status"].int_value in (200, 201)
    if "postgres" in running_exchange.environment["DATABASE_URL"]:
        # One by the ORM, and one that PostgreSQL keeps prepared.
        wanted = {'FROM "changes_supportgroup"', 'INSERT INTO "changes_change"'}

        def came() -> bool:
            queries = "\n".join(collector.queries(asked))
            return all(text in queries for text in wanted)

        running_exchange.until("its queries came", came)
    tasks = [span for span in collector.spans() if span.name.startswith("run/integrations.tasks.")]
    assert tasks


def test_a_callers_trace_goes_on_and_no_span_tells_a_secret(running_exchange, collector):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    client = running_exchange.api("alice")
    answer = client.get(
        "/api/v1/changes/?search=Mister+Miller", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    )
    assert answer.headers["X-Request-ID"] == trace
    running_exchange.until("its span came", lambda: "GET api:changes" in collector.of(trace))
    assert collector.of(trace)["GET api:changes"].parent_span_id.hex() == "00f067aa0ba902b7"
    client.get("/healthz")
    everything = b"".join(collector.bodies)
    for secret in (b"Miller", b"Bearer", client.headers["Authorization"].split()[1].encode(), b"healthz"):
        assert secret not in everything, secret


HIDDEN = """
import sys
sys.modules["opentelemetry.instrumentation.celery"] = None
import casexchange.wsgi
"""


@pytest.mark.any_database
def test_without_the_packages_it_says_which_to_install(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN],
        cwd=ROOT,
        env={**os.environ, "VAR_DIR": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "ImproperlyConfigured: OTEL_EXPORTER_OTLP_ENDPOINT is set, but" in done.stderr
    assert "pip install --require-hashes -r requirements/tracing.txt" in done.stderr
