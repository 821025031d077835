# Exact versions, checked against their hashes: requirements.lock.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock .
RUN python -m venv /opt/forge-gdpr \
    && /opt/forge-gdpr/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip wheel --no-cache-dir --no-deps -w /dist . \
    && /opt/forge-gdpr/bin/pip install --no-cache-dir --no-deps /dist/*.whl

FROM python:3.13-slim
COPY --from=build /opt/forge-gdpr /opt/forge-gdpr
USER 65534:65534
ENTRYPOINT ["/opt/forge-gdpr/bin/forge-gdpr"]
CMD ["run"]
