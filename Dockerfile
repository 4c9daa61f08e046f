# Both commands of the README in a container:
#   docker build -t flantune .
#   docker run --rm flantune                    the demo
#   docker run --rm flantune make test          every check, with tests of pages in chromium
FROM python:3.12-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends chromium g++ make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /flantune
# What is to be installed changes less often than the sources: this layer is kept while only they change.
COPY pyproject.toml constraints.txt Makefile README.md LICENSE ./
COPY src/flantune/__init__.py src/flantune/__init__.py
RUN make setup
COPY . .
CMD ["make", "demo"]
