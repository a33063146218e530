# An image that is its parent and a lock: what every image of the table is whose folder has no Dockerfile.
ARG PARENT TOOL
FROM ${TOOL} AS tool
# wheels that no package index has, in a folder of this machine (pip's find-links); the build gives them
FROM scratch AS wheels

FROM ${PARENT}
USER root
ARG LOCK
RUN --mount=type=secret,id=ca --mount=type=secret,id=mirrors \
    --mount=type=bind,source=images/site,target=/build/site \
    --mount=type=bind,source=${LOCK},target=/build/lock.txt \
    --mount=type=bind,from=wheels,target=/build/wheels \
    --mount=type=bind,from=tool,source=/tmp/tool,target=/tmp/tool \
    --mount=type=cache,id=madang-uv,target=/tmp/uv-cache \
    set -e; . /build/site; python_environment lock.txt

ARG NAME RELEASE
RUN --mount=type=bind,source=images/manifest,target=/build/manifest /build/manifest "$NAME" "$RELEASE"
USER 1000:1000
