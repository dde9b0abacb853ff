# docker build --tag ltdm:0.2.0 .
# docker run --gpus all --volume "$PWD/results:/opt/ltdm/results" ltdm:0.2.0 --cores all --configfile config/smoke.yaml
FROM python:3.12.12-slim-bookworm
WORKDIR /opt/ltdm
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make setup
ENV PATH=/opt/ltdm/.venv/bin:$PATH
ENTRYPOINT ["snakemake"]
