# One image for the worker and the web; the command says which. Dependencies first: they change seldom.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY pyproject.toml README.md worker.py ./
COPY domain domain
COPY activities activities
COPY workflows workflows
COPY starter starter
COPY sandbox sandbox
RUN pip install --no-deps --no-build-isolation . \
    && useradd --system --create-home --home-dir /var/lib/tenure tenure \
    && install --directory --owner tenure /var/lib/warehouse
USER tenure
ARG COMMIT=
ENV TENURE_DATA_DIR=/var/lib/tenure TENURE_COMMIT=$COMMIT
EXPOSE 8080
CMD ["python", "worker.py"]
