# syntax=docker/dockerfile:1
# The locked packages are installed, with their hashes, in a stage of their own; the image that runs
# has neither pip's cache nor a compiler, and nothing in it runs as root.
ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/guanxi
WORKDIR /build
COPY requirements.lock .
RUN /opt/guanxi/bin/pip install --require-hashes --only-binary :all: -r requirements.lock \
    && /opt/guanxi/bin/pip uninstall --yes pip

FROM python:${PYTHON}
ENV PATH=/opt/guanxi/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GUANXI_DATA_DIR=/data \
    GUANXI_DATABASE_URL=sqlite:////data/guanxi.db \
    GUANXI_LOG_FORMAT=json
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin guanxi \
    && install -d -o guanxi -g guanxi /data
COPY --from=packages /opt/guanxi /opt/guanxi
WORKDIR /srv/guanxi
COPY alembic.ini ./
COPY migrations migrations
COPY app app
RUN python -m compileall -q app migrations
USER guanxi
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
