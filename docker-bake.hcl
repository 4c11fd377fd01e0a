# docker buildx bake [GROUP or TARGET]: what `make build-multiarch` and `make build-complete` build by mak, for those who
# bake. mak also looks into what comes out and signs it before it has a name; bake only builds.
#
#   with binaries that are there already: MAK_INIT=dist docker buildx bake

variable "REGISTRY" { default = "" }
variable "VERSION" { default = "dev" }
variable "VCS_REF" { default = "" }
variable "BUILD_DATE" { default = "" }
variable "PYTHON_IMAGE" { default = "python:3.13-slim" }
variable "PLATFORMS" { default = "linux/amd64,linux/arm64" }
# A folder with linux_ARCH/mak-init; empty: compiled in the build.
variable "MAK_INIT" { default = "" }
# A repository for layers, as registry.example/cache; empty: none.
variable "CACHE" { default = "" }
variable "SERVICE_FOLDER" { default = "docker/examples/aws/apprunner" }

group "default" { targets = ["mak-init", "production"] }
group "ipfs-kit" { targets = ["production", "development", "testing", "documentation", "gpu"] }
group "aws" { targets = ["lambda", "apprunner", "eks"] }

target "_common" {
  context    = "."
  platforms  = split(",", PLATFORMS)
  contexts   = MAK_INIT == "" ? {} : { mak-init = MAK_INIT }
  args = {
    VERSION      = VERSION
    VCS_REF      = VCS_REF
    BUILD_DATE   = BUILD_DATE
    PYTHON_IMAGE = PYTHON_IMAGE
  }
  annotations = [
    "index,manifest:org.opencontainers.image.version=${VERSION}",
    "index,manifest:org.opencontainers.image.revision=${VCS_REF}",
    "index,manifest:org.opencontainers.image.licenses=MIT OR Apache-2.0",
  ]
  attest     = ["type=provenance,mode=max"]
  cache-from = CACHE == "" ? [] : ["type=registry,ref=${CACHE}"]
  cache-to   = CACHE == "" ? [] : ["type=registry,ref=${CACHE},mode=max"]
}

target "mak-init" {
  inherits   = ["_common"]
  dockerfile = "docker/scratch/Dockerfile"
  tags       = ["${REGISTRY}mak-init:${VERSION}"]
}

target "production" {
  inherits   = ["_common"]
  dockerfile = "docker/ipfs-kit/Dockerfile"
  target     = "production"
  tags       = ["${REGISTRY}ipfs-kit-py:${VERSION}"]
}
target "development" {
  inherits = ["production"]
  target   = "development"
  tags     = ["${REGISTRY}ipfs-kit-py-dev:${VERSION}"]
}
target "testing" {
  inherits = ["production"]
  target   = "testing"
  tags     = ["${REGISTRY}ipfs-kit-py-test:${VERSION}"]
}
target "documentation" {
  inherits = ["production"]
  target   = "documentation"
  tags     = ["${REGISTRY}ipfs-kit-py-docs:${VERSION}"]
}
target "gpu" {
  inherits = ["production"]
  target   = "gpu"
  tags     = ["${REGISTRY}ipfs-kit-py-gpu:${VERSION}"]
}

target "_aws" {
  inherits   = ["_common"]
  dockerfile = "docker/examples/aws/Dockerfile"
  contexts   = { mak-init = MAK_INIT == "" ? "target:mak-init-binaries" : MAK_INIT }
}
target "lambda" {
  inherits = ["_aws"]
  target   = "lambda"
  args     = { SERVICE_FOLDER = "docker/examples/aws/lambda" }
  tags     = ["${REGISTRY}example-lambda:${VERSION}"]
}
target "apprunner" {
  inherits = ["_aws"]
  target   = "apprunner"
  args     = { SERVICE_FOLDER = SERVICE_FOLDER }
  tags     = ["${REGISTRY}example-apprunner:${VERSION}"]
}
target "eks" {
  inherits = ["_aws"]
  target   = "eks"
  args     = { SERVICE_FOLDER = "docker/examples/aws/eks" }
  tags     = ["${REGISTRY}example-eks:${VERSION}"]
}

# The stage of docker/scratch/Dockerfile that compiles, as a context for the others.
target "mak-init-binaries" {
  context    = "."
  dockerfile = "docker/scratch/Dockerfile"
  target     = "mak-init"
  platforms  = split(",", PLATFORMS)
}
