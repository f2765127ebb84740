# Two images from one file:
#
#   podman build --target connected -t airgap:connected .     lock, pull, bundle
#   podman build --target gap -t airgap:gap .                 verify, import, audit: no pip, no curl, no apt transports
#
# BASE is any Debian with Python 3.11 or newer in its archive. On a machine without an image registry make one:
#
#   mmdebstrap --variant=minbase bookworm base.tar && podman import base.tar airgap-base
#   podman build --build-arg BASE=airgap-base --target gap -t airgap:gap .
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get -qq update \
 && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends \
      ca-certificates python3 python3-venv
COPY scripts/requirements/run.txt scripts/requirements/build.txt /requirements/
# The lock files are whole, so pip has nothing to resolve: left to itself, an old pip takes the newest
# release for a requirement with extras, and then refuses it for want of a hash.
RUN python3 -m venv /opt/airgap \
 && /opt/airgap/bin/pip install --no-cache-dir --no-deps --require-hashes -r /requirements/run.txt \
 && python3 -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r /requirements/build.txt \
 && /opt/build/bin/pip check
COPY pyproject.toml README.md LICENSE /src/
COPY docs /src/docs
COPY manifests /src/manifests
COPY stages /src/stages
COPY scripts/requirements /src/scripts/requirements
COPY airgap /src/airgap
RUN /opt/build/bin/pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation -w /wheels /src \
 && /opt/airgap/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl \
 && /opt/airgap/bin/pip check

# Inside the gap there is no container engine to ask, so its client stays out.
FROM build AS build-gap
RUN /opt/airgap/bin/pip uninstall -q -y docker \
 && /opt/airgap/bin/pip check \
 && /opt/airgap/bin/pip uninstall -q -y pip setuptools

FROM build AS build-connected
RUN /opt/airgap/bin/pip uninstall -q -y pip setuptools

FROM ${BASE} AS runtime
# git brings git-remote-https, with which refs are pushed to the Git server.
RUN apt-get -qq update \
 && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends \
      ca-certificates git python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && echo 'airgap:x:10001:10001::/tmp:/usr/sbin/nologin' >>/etc/passwd \
 && echo 'airgap:x:10001:' >>/etc/group
# Passwords of keys and services come as files. A home that can be written to is mounted at /tmp.
ENV PATH=/opt/airgap/bin:/usr/bin:/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp

FROM runtime AS connected
COPY --from=build-connected /opt/airgap /opt/airgap
CMD ["airgap", "--help"]

FROM runtime AS gap
USER 0:0
RUN rm -rf /usr/lib/apt/methods
USER 10001:10001
COPY --from=build-gap /opt/airgap /opt/airgap
CMD ["airgap", "--help"]
