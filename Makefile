# The commands of this repository; `make help` lists them. What a build is made of is in CMakePresets.json,
# what has to be installed in docker/packages/.

PYTHON := /usr/bin/python3
# Debian 12's versions where they exist, else the newest the system calls its own.
CLANG := $(or $(shell command -v clang-14),clang)
RUN_TIDY := $(or $(shell command -v run-clang-tidy-14),run-clang-tidy)
JOBS := $(shell nproc)
FUZZ_SECONDS ?= 20
PREFIX ?= /usr/local

ROOMS := base pool bridge server server/*
INSTALL_PACKAGES := docker/install-packages
C_FILES = $(wildcard $(ROOMS:%=%/*.[ch])) \
          $(wildcard tests/*/*.[ch] tests/*/*/*.[ch] tests/*/*/*/*.[ch])
PYTEST_DIRS = $(wildcard bridge/python/tests tests/api tests/chaos tests/fuzz tests/gates)

# $(call configure,PRESET[,OPTIONS]), when that was never done or the presets have changed.
build_dir = build$(if $(filter-out release,$(1)),-$(1))
configure = @[ $(build_dir)/build.ninja -nt CMakePresets.json ] || cmake --preset $(1) $(2)

# $(call cmake,PRESET[,OPTIONS]) configures and builds.
define cmake
	$(configure)
	@cmake --build --preset $(1)
endef

.PHONY: help run build build-tests test test-browser check check-format format check-warnings check-tidy check-gates asan tsan fuzz \
	chaos bench install image fresh clean

help:
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 14

run: build ## install what is missing, build, serve on 127.0.0.1:8080 with the demo adapter
	@exec build/snakepit serve

# Without the tests, so that nothing has to be installed that only they need.
build: ## build/snakepit
	@$(INSTALL_PACKAGES) build run
	$(call configure,release,-DSNAKEPIT_TESTS=OFF)
	@cmake --build --preset release --target snakepit

build-tests:
	@$(INSTALL_PACKAGES) build run test
	@grep -qs SNAKEPIT_TESTS:BOOL=ON build/CMakeCache.txt || rm -f build/build.ninja
	$(call configure,release,-DSNAKEPIT_TESTS=ON)
	@cmake --build --preset release

test: build-tests ## every test
	@status=0; \
	ctest --preset release -j$(JOBS) || status=1; \
	$(PYTHON) -m pytest -q -p no:cacheprovider $(PYTEST_DIRS) || status=1; \
	exit $$status

# Not part of what `make test` installs: it is large. Where it is installed, `make test` runs these too.
test-browser: build-tests ## the tests with Chromium, which is installed
	@$(INSTALL_PACKAGES) browser
	@$(PYTHON) -m pytest -q -p no:cacheprovider tests/api/test_browser.py

check: check-format check-warnings check-tidy check-gates ## format, warnings, clang-tidy, gates

check-format:
	@$(INSTALL_PACKAGES) check
	@if command -v clang-format-14 >/dev/null; then \
		clang-format-14 --dry-run -Werror $(C_FILES) && echo "format: good"; \
	else \
		echo "format: skipped, there is no clang-format-14 here and versions disagree"; \
	fi

format: ## write all C files in the format that `make check` wants
	@$(INSTALL_PACKAGES) check
	@clang-format-14 -i $(C_FILES)

check-warnings:
	@$(INSTALL_PACKAGES) build run test check
	$(call cmake,werror)
	$(call cmake,werror-clang,-DCMAKE_C_COMPILER=$(CLANG))

check-tidy: check-warnings
	@$(RUN_TIDY) -quiet -p build-werror-clang '$(CURDIR)/(base|pool|bridge|server)/[a-z0-9_/]+\.c$$'

check-gates:
	@$(INSTALL_PACKAGES) test check
	@$(PYTHON) tests/gates/run.py

asan: ## the tests under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer
	@$(INSTALL_PACKAGES) build run test
	$(call cmake,asan)
	@ctest --preset asan -j$(JOBS)

# Without address randomisation: gcc 12's ThreadSanitizer cannot live with that of newer kernels.
tsan: ## the tests under ThreadSanitizer
	@$(INSTALL_PACKAGES) build run test
	$(call cmake,tsan)
	@if setarch -R true 2>/dev/null; then fixed="setarch -R"; fi; \
	$$fixed ctest --preset tsan -j$(JOBS)

fuzz: ## each fuzz target for FUZZ_SECONDS
	@$(INSTALL_PACKAGES) build run test check
	$(call cmake,fuzz,-DCMAKE_C_COMPILER=$(CLANG))
	@tests/gates/fuzz.sh build-fuzz $(FUZZ_SECONDS)

chaos: build-tests ## kill workers and gateways under load; table and JSON
	@$(PYTHON) tests/chaos/run.py

bench: build-tests ## measure beside FastAPI; table and JSON
	@$(INSTALL_PACKAGES) bench
	@$(PYTHON) tests/bench/run.py

install: build ## to PREFIX, below DESTDIR if that is set
	@cmake --install build --prefix $(PREFIX)

image: ## the steps of docker/Dockerfile in clean Debian roots, no container engine needed; as root
	@$(INSTALL_PACKAGES) fresh
	@$(PYTHON) docker/image_in_chroot.py

fresh: ## `make run` and `make test` from a clone of HEAD in a clean Debian 12; as root
	@$(INSTALL_PACKAGES) fresh
	@$(PYTHON) tests/fresh.py

clean: ## remove every build directory
	@rm -rf build build-*
