# An image of the one binary `guildhall`. The project's own checks only read this file, with a linter: they have no Docker
# to build it with. See compose.yaml for what runs it.

FROM rust:1.95-slim-bookworm AS build
# librdkafka's own build wants C++, make and Python.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --package guildhall-server --bin guildhall \
    && cp target/release/guildhall /usr/local/bin/guildhall

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin guildhall
COPY --from=build /usr/local/bin/guildhall /usr/local/bin/guildhall
USER 10001
ENV GUILDHALL_HTTP__LISTEN=0.0.0.0:8080
EXPOSE 8080
# SIGTERM, Docker's own way to stop it, lets what is accepted finish.
ENTRYPOINT ["guildhall"]
CMD ["all"]
