# Pinned by tag: a digest belongs here too, put in by whoever builds with a registry at hand.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore UV_LINK_MODE=copy UV_NO_CACHE=1
COPY requirements-uv.txt requirements.txt ./
RUN python -m venv /opt/tools \
 && /opt/tools/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-uv.txt \
 && python -m venv --without-pip /opt/holdfast \
 && /opt/tools/bin/uv pip sync --python /opt/holdfast/bin/python --require-hashes --only-binary :all: --compile-bytecode requirements.txt
COPY pyproject.toml LICENSE ./
COPY domain domain
COPY app app
COPY api api
COPY migrations migrations
RUN /opt/tools/bin/uv pip install --python /opt/holdfast/bin/python --no-deps --offline --compile-bytecode .

FROM python:3.11-slim-bookworm
# The embedded PostgreSQL wants a user that /etc/passwd knows.
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin holdfast \
 && install -d -m 0700 -o holdfast -g holdfast /data
COPY --from=build /opt/holdfast /opt/holdfast
COPY openapi/operations /opt/operations
ENV PATH=/opt/holdfast/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOLDFAST_HOST=0.0.0.0 HOLDFAST_PORT=8080 HOLDFAST_DATA_DIR=/data \
    HOLDFAST_GRAPHQL_OPERATIONS=/opt/operations
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['HOLDFAST_PORT'] + '/healthz', timeout=3)"]
ENTRYPOINT ["holdfast"]
CMD ["serve"]
