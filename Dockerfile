# The index of node:24-slim of 2026-08-25, for every architecture; docs/deploy.md says how to move it.
ARG NODE_IMAGE=node:24-slim@sha256:a9f5f7c91a432850b2a8a7797adf5eadb6c733ceed61167806cee7ea7fbc29df

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc scripts/production-packages.mjs ./
RUN node production-packages.mjs \
  && npm install --omit=dev --ignore-scripts

FROM ${NODE_IMAGE}
# Nothing in the image installs packages.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
    /opt/yarn-* /usr/local/bin/yarn /usr/local/bin/yarnpkg \
  && groupadd --gid 10001 wal-cdc \
  && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin wal-cdc
ENV NODE_ENV=production
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=packages /app/node_modules node_modules
COPY web web
COPY src src
USER 10001:10001
EXPOSE 8080
# Node itself is process 1: it gets SIGTERM, finishes what is in flight and ends.
ENTRYPOINT ["node", "/app/src/main.ts"]
CMD ["run"]
