# syntax=docker/dockerfile:1
# docker build -t outrigger --build-arg VERSION=0.1.0 --build-arg REVISION=$(git rev-parse HEAD) .

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/copy-assets.mjs scripts/
COPY src src
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Outrigger" \
      org.opencontainers.image.description="An HTTP sidecar that keeps AI agents alive." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
COPY config config
# For state.dir: a volume that is mounted here gets its owner from it.
RUN install -d -o 10001 -g 10001 -m 700 /var/lib/outrigger

# Loopback would be out of reach from outside the container. These win over any file; set them to nothing to let the
# file decide, for example in a pod, where the agent shares the network namespace.
ENV NODE_ENV=production \
    OUTRIGGER_CONFIG=/app/config/outrigger.yaml \
    OUTRIGGER__SERVER__LISTEN=0.0.0.0:8080 \
    OUTRIGGER__SERVER__ADMIN=0.0.0.0:9090
EXPOSE 8080 9090

# A number, so that runAsNonRoot can be checked. Nothing is written: a read-only root file system works.
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 \
  CMD ["node", "/app/dist/main.js", "healthcheck"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["run"]
