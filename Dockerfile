# dcpose in a container. The CPU image: docker build --target cpu -t dcpose .
# The CUDA image, for NVIDIA GPUs:       docker build --target cuda -t dcpose:cuda .
# Run (docs/docker.md): docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/data" dcpose estimate a.mp4
FROM python:3.12-slim AS base
# What OpenCV loads.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# Any user id may run the image: nothing is written outside /data and /tmp.
RUN useradd --uid 10001 dcpose
ENV HOME=/tmp USER=dcpose
WORKDIR /data
ENTRYPOINT ["dcpose"]
CMD ["--help"]

FROM base AS cuda
# The default build of PyTorch for Linux contains the CUDA libraries; the host needs the driver and the container toolkit.
RUN pip install torch torchvision
COPY . /src
RUN pip install '/src[evaluate]' && rm -rf /src
USER 10001

FROM base AS cpu
RUN pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY . /src
RUN pip install '/src[evaluate]' && rm -rf /src
USER 10001
