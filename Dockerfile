# Two images. The last and default one, `production`, is for the worker and the web; the command says which. It has no package for development,
# no pip, no stand-in and no root. `stand-ins` adds the sandbox, for trying everything on one machine (docker-compose.yml).
#
# PYTHON_IMAGE is Python 3.11 by its digest, which a tag is not: what a tag names changes. For a newer one, look its digest up and change it here:
#   docker buildx imagetools inspect python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'
ARG PYTHON_IMAGE=python:3.11.16-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

FROM ${PYTHON_IMAGE} AS build
ARG PYTHON_IMAGE
RUN case "$PYTHON_IMAGE" in *@sha256:????????????????????????????????????????????????????????????????) ;; \
    *) echo "PYTHON_IMAGE must name its digest: NAME@sha256:…" >&2; exit 1 ;; esac
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# Dependencies first: they change seldom.
COPY requirements.lock pyproject.toml ./
COPY deploy/lock_subset.py deploy/
RUN python deploy/lock_subset.py > /tmp/production.lock \
    && python deploy/lock_subset.py --with aiosmtpd --with graphql-core > /tmp/stand-ins.lock \
    && python deploy/lock_subset.py --only setuptools > /tmp/build.lock \
    && python -m venv --without-pip /opt/tenure \
    && pip --python /opt/tenure/bin/python install --require-hashes --no-deps -r /tmp/production.lock \
    && pip install --require-hashes --no-deps -r /tmp/build.lock
COPY README.md worker.py ./
COPY domain domain
COPY store store
COPY activities activities
COPY workflows workflows
COPY starter starter
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
    && pip --python /opt/tenure/bin/python install --no-deps --no-index /dist/*.whl

FROM build AS build-stand-ins
RUN pip --python /opt/tenure/bin/python install --require-hashes --no-deps -r /tmp/stand-ins.lock

FROM ${PYTHON_IMAGE} AS runtime
# The numbers, so that a cluster can see that it is not root.
RUN python -m pip uninstall --yes --quiet pip setuptools wheel \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/tenure --shell /usr/sbin/nologin tenure \
    && install --directory --mode 0700 --owner tenure --group tenure /var/lib/tenure /var/lib/warehouse
ENV PATH=/opt/tenure/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TENURE_DATA_DIR=/var/lib/tenure
WORKDIR /app
USER 10001:10001

FROM runtime AS stand-ins
COPY --from=build-stand-ins /opt/tenure /opt/tenure
COPY sandbox sandbox
EXPOSE 8900 8925
CMD ["python", "-m", "sandbox", "--host", "0.0.0.0"]

FROM runtime AS production
COPY --from=build /opt/tenure /opt/tenure
COPY worker.py ./
ARG COMMIT=
ENV TENURE_COMMIT=$COMMIT
# Worker and web have their control port here: health, metrics, drain. For probes from outside the container: TENURE_CONTROL=0.0.0.0:9464
ENV TENURE_CONTROL=127.0.0.1:9464
# Alive, not ready: nobody restarts a process because another is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['TENURE_CONTROL'].rpartition(':')[2] + '/livez', timeout=4)"]
EXPOSE 8080
CMD ["python", "worker.py"]
