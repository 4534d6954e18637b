"""Traces by OpenTelemetry, if OTEL_EXPORTER_OTLP_ENDPOINT says where to. requirements/tracing.txt has the packages.

The trace has the request id as its id. An operation keeps the request id, so the calls to the partner are in the trace
of the request that caused them, however much later they are made, and by whichever worker.

The spans of requests and of calls are made here and not by a library for Django or HTTP clients: those tell the whole
addresses, which have what people look for, links that reset a password, and secrets of partners.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import psycopg
from django.core.exceptions import ImproperlyConfigured

from changes import spans, work

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from opentelemetry.trace import Tracer as OtelTracer
    from opentelemetry.util.types import AttributeValue

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def set_up(service: str) -> None:
    """Begins to trace this process and those that it forks, if the environment asks for it."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.celery import CeleryInstrumentor
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ImproperlyConfigured(
            f"{ENDPOINTS[0]} is set, but the packages for traces are not installed: "
            "pip install --require-hashes -r requirements/tracing.txt"
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": service}), id_generator=_ids())
    provider.sampler = _within_others(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    CeleryInstrumentor().instrument(tracer_provider=provider)
    PsycopgInstrumentor().instrument(tracer_provider=provider)
    spans.use(_Tracer(provider.get_tracer("casexchange")), _traced_cursor(provider))


def _traced_cursor(provider: Any) -> type[psycopg.Cursor[Any]]:
    """The cursor of prepared statements with a span for each. The instrumentation knows only the connection's own."""
    from opentelemetry.instrumentation.dbapi import CursorTracer, DatabaseApiIntegration

    tracer: Any = CursorTracer(DatabaseApiIntegration("casexchange", "postgresql", tracer_provider=provider))

    class TracedCursor(psycopg.Cursor[Any]):
        def execute(self, *args: Any, **kwargs: Any) -> Any:
            return tracer.traced_execution(self, super().execute, *args, **kwargs)

    return TracedCursor


def _ids() -> Any:
    from opentelemetry.sdk.trace import RandomIdGenerator

    class Ids(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            request_id = work.request_id()
            return trace_id_of(request_id) if request_id else super().generate_trace_id()

    return Ids()


def trace_id_of(request_id: str) -> int:
    """The request id itself if it could be the id of a trace, as those that we make; otherwise one made of it."""
    if re.fullmatch(r"[0-9a-f]{32}", request_id) and int(request_id, 16):
        return int(request_id, 16)
    return int.from_bytes(hashlib.blake2b(request_id.encode(), digest_size=16).digest())


def _within_others(chosen: Any) -> Any:
    """The sampler that the environment chose, but without queries that belong to nothing: open pages and readiness look
    into the database many times a second."""
    from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
    from opentelemetry.trace import get_current_span

    class WithinOthers(Sampler):
        def should_sample(
            self,
            parent_context: Context | None,
            trace_id: int,
            name: str,
            kind: Any = None,
            attributes: Any = None,
            links: Sequence[Any] | None = None,
            trace_state: Any = None,
        ) -> SamplingResult:
            is_alone = not get_current_span(parent_context).get_span_context().is_valid
            if is_alone and attributes and ("db.system" in attributes or "db.system.name" in attributes):
                return SamplingResult(Decision.DROP)
            result: SamplingResult = chosen.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
            return result

        def get_description(self) -> str:
            return f"WithinOthers({chosen.get_description()})"

    return WithinOthers()


class _Tracer:
    def __init__(self, tracer: OtelTracer) -> None:
        self._tracer = tracer

    def begin(self, traceparent: str) -> _Open:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
        return _Open(self._tracer.start_span("request", context, SpanKind.SERVER), context)

    def add(
        self, name: str, began: datetime, seconds: float, request_id: str, fields: spans.Fields, is_fault: bool
    ) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        start = int(began.timestamp() * 1e9)
        with work.working_on(work.RequestWork(request_id)):  # which gives the trace its id
            span = self._tracer.start_span(name, Context(), SpanKind.CLIENT, start_time=start)
        _tell(span, {**fields, "request_id": request_id}, is_fault)
        span.end(start + int(seconds * 1e9))


class _Open:
    def __init__(self, span: Span, context: Context) -> None:
        from opentelemetry.context import attach
        from opentelemetry.trace import set_span_in_context

        self._span = span
        self._token = attach(set_span_in_context(span, context))

    def end(self, name: str, fields: spans.Fields, is_fault: bool) -> None:
        self.drop()
        self._span.update_name(name)
        _tell(self._span, fields, is_fault)
        self._span.end()

    def drop(self) -> None:
        """A span that never ends is not sent."""
        from opentelemetry.context import detach

        detach(self._token)


def _tell(span: Span, fields: spans.Fields, is_fault: bool) -> None:
    from opentelemetry.trace import Status, StatusCode

    for field, value in fields.items():
        if value not in (None, ""):
            span.set_attribute(f"casexchange.{field}", cast("AttributeValue", value))
    if is_fault:
        span.set_status(Status(StatusCode.ERROR))
