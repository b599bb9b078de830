# A CPU image:   docker build --tag lesion-gan --build-arg TORCH_INDEX=URL .   (URL: an index of torch's CPU builds; without, pip's own)
# With a GPU:    docker build --tag lesion-gan .  &&  docker run --gpus all --shm-size 8g lesion-gan ...   (pip's torch for Linux has CUDA)
# The demo:      docker run --volume "$PWD/results:/bundle/results" lesion-gan study scripts/experiments/demo.json
FROM python:3.11-slim
WORKDIR /bundle
COPY constraints.txt ./
ARG TORCH_INDEX
RUN pip install --no-cache-dir $(grep '^torch==' constraints.txt) ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}

COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt '.[dicom,export,study]'
ENTRYPOINT ["python", "-m", "scripts"]
CMD ["--help"]
