# syntax=docker/dockerfile:1
# Build:  make image             (ARGS="--build-arg EXTRAS=mqtt,text,video" for MQTT, text models, video)
# Run:    docker run --read-only --tmpfs /tmp --cap-drop ALL -p 127.0.0.1:8000:8000 \
#           -v potoo-data:/data -e POTOO_ADMIN_PASSWORD=... potoo:0.1.0
# Or with TLS, dashboards and alerts: docs/operating/containers.md

# `make image` hands over what deploy/images.lock says, with its digest once that is pinned.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The locked requirements change less often than the code: layers of their own.
COPY requirements.txt requirements-build.txt requirements-supply.txt ./
RUN python -m venv /opt/potoo \
 && /opt/potoo/bin/pip install --require-hashes -r requirements.txt \
 && pip install --require-hashes -r requirements-build.txt
# What writes the list of parts is no part itself: an environment of its own, which stays behind.
RUN python -m venv /opt/supply \
 && /opt/supply/bin/pip install --require-hashes -r requirements-supply.txt
# Extras, such as EXTRAS=mqtt,text,video: none by default, since PyAV alone is 100 MB.
ARG EXTRAS=
COPY requirements-mqtt.txt requirements-text.txt requirements-video.txt ./
RUN for extra in $(echo "$EXTRAS" | tr , ' '); do \
      case "$extra" in mqtt|text|video) ;; *) echo "EXTRAS: there is no extra $extra"; exit 1;; esac; \
      /opt/potoo/bin/pip install --require-hashes --no-deps -r "requirements-$extra.txt" || exit; \
    done
COPY pyproject.toml README.md LICENSE ./
COPY auth auth
COPY client client
COPY observability observability
COPY schemas schemas
COPY service service
COPY models models
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/potoo/bin/pip install --no-deps --no-index /wheels/*.whl \
 && /opt/potoo/bin/pip uninstall --yes pip \
 && /opt/potoo/bin/python -m compileall -q /opt/potoo/lib
# Built here and not by each container: nothing to wait for, nothing to write. By name, so that one that
# cannot be built ends this; the first answers calls that name no model.
RUN /opt/potoo/bin/potoo models build imagenet everyday --models /opt/models
# Of what is installed, not of what was asked for; scanners look for this ending.
RUN mkdir /sbom && /opt/supply/bin/cyclonedx-py environment --pyproject pyproject.toml \
      --mc-type application --output-reproducible --output-file /sbom/potoo.cdx.json \
      /opt/potoo/bin/python

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 potoo \
 && useradd --uid 10001 --gid potoo --no-create-home --shell /usr/sbin/nologin potoo \
 && install --directory --owner potoo --group potoo --mode 0700 /data
# pg_dump and pg_restore for `potoo backup`, of the server's version or later:
# --build-arg POSTGRESQL_CLIENT=postgresql-client
ARG POSTGRESQL_CLIENT=
RUN if [ -n "$POSTGRESQL_CLIENT" ]; then \
      apt-get update \
      && apt-get install --yes --no-install-recommends "$POSTGRESQL_CLIENT" \
      && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/potoo /opt/potoo
COPY --from=build /opt/models /opt/models
COPY --from=build /sbom /usr/share/sbom
# Inside a container 127.0.0.1 would reach nobody; publish the port where it should be reached.
ENV PATH=/opt/potoo/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    POTOO_HOST=0.0.0.0 \
    POTOO_DATA_DIR=/data \
    POTOO_MODELS=/opt/models \
    POTOO_OBSERVABILITY__LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME /data
# 8001 is for gRPC, where POTOO_GRPC_PORT=8001 turns it on.
EXPOSE 8000 8001
# Potoo drains for up to 25 seconds: give docker stop --time 30.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/readyz' % os.environ.get('POTOO_PORT', '8000'), timeout=2)"]
ENTRYPOINT ["potoo"]
CMD ["serve"]
# Last, since they differ every time.
ARG VERSION=unknown REVISION=unknown CREATED=unknown SOURCE=unknown
LABEL org.opencontainers.image.title="Potoo" \
      org.opencontainers.image.description="A small, safe image classification server" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
