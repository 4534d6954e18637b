# The image of casexchange: web server, worker and beat run from it with different commands. See compose.yaml.
FROM python:3.13-slim-bookworm AS packages
WORKDIR /opt/casexchange
COPY requirements/run.txt requirements/run.txt
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/run.txt \
    && .venv/bin/pip uninstall --yes pip

FROM python:3.13-slim-bookworm
# pg_dump, for backups.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin --home-dir /var/lib/casexchange casexchange \
    && install -d -m 0700 -o casexchange -g casexchange /var/lib/casexchange /var/backups/casexchange
WORKDIR /opt/casexchange
COPY --from=packages /opt/casexchange/.venv .venv
COPY . .
ENV PATH=/opt/casexchange/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VAR_DIR=/var/lib/casexchange
USER 10001
VOLUME /var/lib/casexchange
EXPOSE 8000
ENTRYPOINT ["sh", "docs/compose/entrypoint.sh"]
CMD ["granian", "--interface", "asginl", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--no-ws", "casexchange.asgi:application"]
HEALTHCHECK --interval=15s --timeout=5s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
