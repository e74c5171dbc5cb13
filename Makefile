# The front door; CMakeLists.txt and CMakePresets.json do the work. `make help` lists the targets.

.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory
.PHONY: all demo test test-long bench asan tsan clang fuzz format check-format docs install clean help

release := build/release
PREFIX ?= /usr/local
WERROR ?= OFF

clang_format := $(shell command -v clang-format-14 || echo clang-format)
c_files = $(sort $(shell find $(wildcard include src cli tests bench fuzz examples) -name '*.[ch]'))

# The first configuration needs no test tools; a build folder that exists is taken as it is.
$(release)/build.ninja:
	@cmake --preset release -DZO_TESTS=OFF >/dev/null

all: ## build build/release/zeroth
	@tools/setup build
	@$(MAKE) $(release)/zeroth

.PHONY: $(release)/zeroth
$(release)/zeroth: $(release)/build.ninja
	@cmake --build $(release) --target zeroth -- --quiet

demo: ## train on Fashion-MNIST for a minute, forward passes only
	@tools/setup build demo
	@$(MAKE) $(release)/zeroth
	@$(release)/zeroth train fashion-mnist --net "dense128 relu dense128 relu dense10" --seconds 60

.PHONY: with-tests
with-tests:
	@tools/setup build demo test
	@tools/python-env
	@cmake --preset release -DZO_WERROR=$(WERROR) >/dev/null
	@cmake --build $(release)

test: with-tests ## build and run every test but the long ones (WERROR=ON: warnings are errors)
	@ctest --preset release

test-long: with-tests ## run the tests that take minutes each
	@ctest --preset long

bench: with-tests ## measure kernels, passes, scaling, solves and peers in 4 minutes, and print what is asked and seen
	@bench/speed.py --quick

asan tsan: ## run the tests under ASan, LSan and UBSan; under TSan
	@tools/setup build demo test
	@tools/python-env
	@cmake --preset $@ >/dev/null
	@cmake --build build/$@
	@ctest --preset $@

clang: ## build with clang, warnings are errors, and run the unit tests
	@tools/setup build demo test ci
	@cmake --preset clang >/dev/null
	@cmake --build build/clang
	@ctest --preset clang

fuzz: ## fuzz each target for ZO_FUZZ_SECONDS (60)
	@tools/setup build ci
	@cmake --preset fuzz >/dev/null
	@cmake --build build/fuzz --target fuzzers
	@tools/fuzz build/fuzz

format: ## format the C sources in place
	@tools/setup ci
	@$(clang_format) -i $(c_files)

check-format: ## fail if `make format` would change something
	@tools/setup ci
	@$(clang_format) --dry-run -Werror --ferror-limit=10 $(c_files)

docs: ## build the manual of the headers into build/docs/html
	@tools/setup test
	@mkdir -p build/docs
	@ZO_DOCS_OUT=build/docs ZO_DOCS_INPUT=include/zeroth doxygen tools/Doxyfile
	@echo build/docs/html/index.html

install: ## install into PREFIX (/usr/local), below DESTDIR if that is set
	@tools/setup build
	@$(MAKE) $(release)/build.ninja
	@cmake --build $(release)
	@cmake --install $(release) --prefix "$(PREFIX)"

clean: ## remove build/
	@rm -rf build

help: ## list the targets
	@awk -F ' *:.*## ' '/^[a-z][a-z -]*:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile
