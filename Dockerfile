# syntax=docker/dockerfile:1
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/quotad
# The pinned dependencies first: they change less often than the code.
COPY requirements.lock .
RUN /opt/quotad/bin/pip install -r requirements.lock
COPY pyproject.toml README.md ./
COPY service service
COPY lua lua
RUN /opt/quotad/bin/pip install --no-deps .

# `docker compose --profile bench`: the load generator, at the version of the lock file.
FROM python:3.11.14-slim-bookworm AS bench
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements-dev.lock .
RUN pip install --constraint requirements-dev.lock locust && useradd --uid 10001 --no-create-home bench
USER 10001
WORKDIR /bench
ENTRYPOINT ["locust"]

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --no-create-home quotad && install --directory --owner=quotad --mode=0700 /data
COPY --from=build /opt/quotad /opt/quotad
ENV PATH=/opt/quotad/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    QUOTAD_HOST=0.0.0.0 \
    QUOTAD_DATA_DIR=/data
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('QUOTAD_PORT') or 8080}/livez\", timeout=2)"]
# Serves every address of the container, so it needs QUOTAD_ADMIN_TOKEN.
CMD ["quotad", "serve"]
