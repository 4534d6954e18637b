"""An invalid setting is reported in one line, with a hint what to write instead."""

import os

import pytest

from . import warm

BAD = [
    ("SECRET_KEY", "", "SECRET_KEY is not set"),
    ("SECRET_KEY", "a key that is too short", "SECRET_KEY is too short or known"),
    ("SECRET_KEY", "only-for-development" * 5, "SECRET_KEY is too short or known"),
    ("FIELD_ENCRYPTION_KEYS", "secret@key", "FIELD_ENCRYPTION_KEYS: key 1 is not 32 bytes in URL-safe base64"),
    ("ALLOWED_HOSTS", "desk.example.com,*", "ALLOWED_HOSTS: name the hosts"),
    ("TRUSTED_PROXIES", "proxy.example.com", "TRUSTED_PROXIES: 'proxy.example.com' does not appear to be"),
    ("DATABASE_URL", "garbage", "DATABASE_URL: write sqlite:///FILE or postgres://"),
    ("DATABASE_URL", "mysql://u:secret@h/n", "DATABASE_URL: write sqlite:///FILE or postgres://"),
    ("DATABASE_REPLICA_URL", "garbage", "DATABASE_REPLICA_URL: write postgres://USER:PASSWORD@HOST:PORT/NAME"),
    ("DATABASE_REPLICA_URL", "sqlite:///secret@file", "DATABASE_REPLICA_URL: write postgres://USER:PASSWORD@HOST"),
    ("DATABASE_STATEMENT_TIMEOUT", "-1", "DATABASE_STATEMENT_TIMEOUT='-1': give a number, such as 30, or 0"),
    ("DATABASE_LOCK_TIMEOUT", "long", "DATABASE_LOCK_TIMEOUT='long': give a number, such as 15, or 0"),
    ("DATABASE_IDLE_TIMEOUT", "inf", "DATABASE_IDLE_TIMEOUT='inf': give a number, such as 10, or 0"),
    ("CELERY_BROKER_URL", "nope://", "CELERY_BROKER_URL='nope://': write filesystem:// or redis://"),
    ("CELERY_BROKER_URL", "amqp://u:secret@h/", "CELERY_BROKER_URL='amqp://***@h/': write filesystem://"),
    ("BASE_URL", "desk.example.com", "BASE_URL='desk.example.com': write it as https://"),
    ("DELIVERY_TIMEOUT", "x", "DELIVERY_TIMEOUT='x': give a number above 0"),
    ("DELIVERY_LEASE", "-1", "DELIVERY_LEASE='-1': give a number above 0"),
    ("DISPATCH_INTERVAL", "nan", "DISPATCH_INTERVAL='nan': give a number above 0"),
    ("DELIVERY_RETRY_SCHEDULE", "5,x", "DELIVERY_RETRY_SCHEDULE='5,x': give seconds"),
    ("ATTACHMENT_MAX_BYTES", "25MB", "ATTACHMENT_MAX_BYTES='25MB': give a number above 0"),
    ("OUTGOING_ALLOWED_NETWORKS", "10.0.0.1/8", "OUTGOING_ALLOWED_NETWORKS: 10.0.0.1/8 has host bits set"),
    ("API_TOKEN_DAYS", "0", "API_TOKEN_DAYS='0': give a whole number from 1 to 36500, such as 365"),
    ("API_TOKEN_DAYS", "a year", "API_TOKEN_DAYS='a year': give a whole number from 1 to 36500, such as 365"),
    ("ATTACHMENT_SCAN_COMMAND", "sh -c 'exit 1", 'ATTACHMENT_SCAN_COMMAND="sh -c \'exit 1": No closing quotation'),
    ("API_RATE_LIMIT", "fast", "API_RATE_LIMIT='fast': write a number and second"),
    (
        "REQUIRE_SECOND_FACTOR_FOR",
        "Auditor, Cook",
        "REQUIRE_SECOND_FACTOR_FOR: Cook is no role. Choose from Service desk",
    ),
    ("OIDC_SERVER_URL", "http://login.example.com", "OIDC_SERVER_URL='http://login.example.com': write https://"),
    ("OIDC_SERVER_URL", "https://login.example.com", "OIDC_CLIENT_ID is not set, but OIDC_SERVER_URL is."),
    ("OIDC_ROLES", "admins=Cook", "OIDC_ROLES='admins=Cook': write value=role pairs"),
    ("EMAIL_URL", "u:secret@mail.example.com", "EMAIL_URL: write smtp+tls://USER:PASSWORD@HOST:587"),
    ("SESSION_IDLE_SECONDS", "0", "SESSION_IDLE_SECONDS='0': give a number above 0"),
    ("CONFIRM_AGAIN_SECONDS", "never", "CONFIRM_AGAIN_SECONDS='never': give a number above 0"),
    ("METRICS_TOKEN", "secret@short", "METRICS_TOKEN: give at least 20 characters without spaces"),
    ("METRICS_PORT", "0", "METRICS_PORT='0': give a port from 1 to 65535, such as 9464"),
    ("METRICS_PORT", "http", "METRICS_PORT='http': give a port from 1 to 65535, such as 9464"),
    ("LOG_FORMAT", "xml", "LOG_FORMAT='xml': write text or json"),
    ("LOG_LEVEL", "loud", "LOG_LEVEL='loud': write DEBUG"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_value_is_named_in_one_line(tmp_path, name, value, message):
    environment = {**os.environ, "VAR_DIR": str(tmp_path), "DEBUG": "0"}
    if name.startswith("DATABASE_"):
        environment["DATABASE_URL"] = "postgres://u@h/n"  # it is never called
    assert_refused({**environment, name: value}, message)


def test_sqlite_has_no_replica(tmp_path):
    urls = {"DATABASE_URL": f"sqlite:///{tmp_path}/db", "DATABASE_REPLICA_URL": "postgres://u:secret@h/n"}
    environment = {**os.environ, **urls, "VAR_DIR": str(tmp_path), "DEBUG": "0"}
    assert_refused(environment, "DATABASE_REPLICA_URL: only PostgreSQL has replicas, but DATABASE_URL is SQLite")


def assert_refused(environment, message):
    done = warm.manage(["check"], environment, is_once=True)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert message in done.stderr
    assert "secret@" not in done.stderr
