# Any service of Conclave, by its name as the command: docker run conclave planner
#
# The last stage holds Node, the shared libraries it needs, production packages and the sources; no shell, no package manager.
# Plain enough for every builder: BuildKit, the classic one, Podman.

FROM node:24.21.0-trixie-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY deploy/image/production-lock.ts deploy/image/prune.ts deploy/image/sbom.ts deploy/image/
RUN node deploy/image/production-lock.ts \
  && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier \
  && node deploy/image/prune.ts node_modules

FROM packages AS system
# Node and what it is linked with; a user; and, for scanners, which Debian packages these libraries came from.
RUN mkdir -p /system/usr/local/bin /system/etc /system/tmp /system/var/lib/dpkg/status.d \
  && chmod 1777 /system/tmp \
  && cp "$(readlink -f "$(command -v node)")" /system/usr/local/bin/node \
  && ldd /system/usr/local/bin/node | grep -o '/[^ ]*' | while read -r library; do \
       mkdir -p "/system$(dirname "$library")" && cp -L "$library" "/system$library" \
       && package=$(dpkg-query --search "$(readlink -f "$library")" | cut -d: -f1 | head -n 1) \
       && dpkg-query --status "$package" > "/system/var/lib/dpkg/status.d/$package" || exit 1; \
     done \
  && cp -L /etc/os-release /system/etc/os-release \
  && echo 'hosts: files dns' > /system/etc/nsswitch.conf \
  && echo 'conclave:x:65532:65532:Conclave:/app:/nonexistent' > /system/etc/passwd \
  && echo 'conclave:x:65532:' > /system/etc/group \
  && npm sbom --sbom-format cyclonedx --sbom-type application > /tmp/packages.json \
  && node deploy/image/sbom.ts /tmp/packages.json /system/var/lib/dpkg/status.d > /system/sbom.cdx.json

FROM packages AS sources
COPY LICENSE ./
COPY shared shared
COPY services services
COPY deploy/prices.json deploy/prices.json
COPY deploy/image deploy/image
# Compiled once here instead of at each start; the cache counts for one Node and one user, hence the user's number.
RUN install -d -o 65532 -g 65532 /app/compiled
USER 65532:65532
RUN NODE_COMPILE_CACHE=/app/compiled node deploy/image/warm.ts

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Conclave" \
      org.opencontainers.image.description="A peer-to-peer mesh of LLM agents over NATS: any service, by its name as the command" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/node:24.21.0-trixie-slim"
COPY --from=system /system /
COPY --from=sources /app /app
WORKDIR /app
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/app/compiled \
    MALLOC_ARENA_MAX=1 \
    PATH=/usr/local/bin \
    HTTP_HOST=0.0.0.0 \
    HOST=0.0.0.0 \
    HTTP_PORT=8080
EXPOSE 8080
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "/app/deploy/image/health.ts"]
ENTRYPOINT ["node", "/app/deploy/image/entry.ts"]
