# The flow under the names its users know; each target is one call of mak (mak --help). Variables:
#   IMAGE, TAG, REGISTRY, ENV (dev, staging, prod), ARCH, DOCKERFILE, TARGETS, SCAN, SIGN, OPTIONS (anything else for mak)
# With binaries that are there (scripts/build-static): OPTIONS="--build-context mak-init=dist".

MAK        ?= cargo run --quiet --bin mak --
IMAGE      ?= ipfs-kit-py
TAG        ?= latest
REGISTRY   ?= localhost:5000
ENV        ?= dev
ARCH       ?= arm64
DOCKERFILE ?= docker/ipfs-kit/Dockerfile
TARGET     ?= production
TARGETS    ?= production development testing documentation gpu
PLATFORMS  ?= linux/amd64,linux/arm64
SCAN       ?= trivy image --exit-code 1 --platform {platform} {ref}
SIGN       ?= cosign sign --yes {ref}
OPTIONS    ?=
BUILD      := $(MAK) build --image $(IMAGE) --file $(DOCKERFILE)

.PHONY: setup-buildx docker-build docker-build-amd64 docker-push-dev docker-push-prod build-multiarch build-complete \
	build-verify build-vulnerability-scan ci-setup ci-build ci-push ci-security ci-sign ci-complete test-matrix

setup-buildx:             ; $(MAK) build --check --platform $(PLATFORMS) --file $(DOCKERFILE) $(OPTIONS)
docker-build:             ; $(BUILD) --tag $(TAG) --target $(TARGET) --platform linux/$(ARCH) $(OPTIONS)
docker-build-amd64:       ; $(BUILD) --tag local-amd64 --target $(TARGET) --platform linux/amd64 $(OPTIONS)
docker-push-dev:          ; $(BUILD) --environment dev --target $(TARGET) --registry $(REGISTRY) --platform $(PLATFORMS) --push $(OPTIONS)
docker-push-prod:         ; $(BUILD) --environment prod --target $(TARGET) --registry $(REGISTRY) --platform $(PLATFORMS) --push $(OPTIONS)
build-multiarch:          ; $(MAK) build --image mak-init --tag $(TAG) --file docker/scratch/Dockerfile --platform $(PLATFORMS) $(OPTIONS)
build-complete:           ; $(BUILD) --tag $(TAG) $(addprefix --target ,$(TARGETS)) --platform $(PLATFORMS) $(OPTIONS)
build-verify:             ; $(MAK) image verify docker:$(IMAGE):$(TAG) --platform $(PLATFORMS)
build-vulnerability-scan: ; $(BUILD) --tag $(TAG) --target $(TARGET) --platform $(PLATFORMS) --scan '$(SCAN)' $(OPTIONS)

ci-setup:    setup-buildx
ci-build:    build-multiarch
ci-push:                  ; $(BUILD) --environment $(ENV) --target $(TARGET) --registry $(REGISTRY) --platform $(PLATFORMS) --push $(OPTIONS)
ci-security: build-vulnerability-scan
ci-sign:                  ; $(BUILD) --environment $(ENV) --target $(TARGET) --registry $(REGISTRY) --platform $(PLATFORMS) --push --sign '$(SIGN)' $(OPTIONS)
ci-complete: ci-setup ci-build ci-security ci-sign

# MATRIX=pairwise: so many that every pair of values occurs.
# Every kind of root, user and restriction in a container of its own, on both architectures (docs/matrix.md).
test-matrix:              ; tests/matrix.sh $(MATRIX)
