# What a newcomer needs: `make run` and `make test`. Only Python 3.11 or later and make have to be there.

# The distribution's own Python before another that comes first in PATH: it is built with optimisation, which is worth
# a quarter of the server's speed.
PYTHON ?= $(shell for each in /usr/bin/python3 python3; do \
  "$$each" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && exit; \
  done; echo python3)
VENV ?= .venv
EXTRAS ?= test,dev
JOBS ?= 2
TESTS ?= tests

PY = $(VENV)/bin/python
PIP = $(PY) -m pip --disable-pip-version-check --quiet install
# A default editable installation would hide the plug-in that makes `twistd xmppd` work.
EDITABLE = --config-settings editable_mode=compat --editable

.PHONY: run test lint types bench docs pages dist clean

# The demo: a server on loopback with four accounts. `make run ARGS="--data DIR"` keeps what happens there.
run: $(VENV)/.installed
	$(VENV)/bin/xmppd demo $(ARGS)

test: $(VENV)/.installed-$(EXTRAS)
	$(PY) -m twisted.trial -j$(JOBS) $(TESTS)

lint: $(VENV)/.installed-$(EXTRAS)
	$(VENV)/bin/ruff check xmppd tests twisted benchmarks docs tools .ci
	$(PY) docs/generate.py --check

types: $(VENV)/.installed-$(EXTRAS)
	$(VENV)/bin/mypy xmppd

# Needs Prosody and ejabberd for a comparison; see benchmarks/README.rst.
bench: $(VENV)/.installed-$(EXTRAS)
	$(PY) benchmarks/run.py $(ARGS)

docs: pages
	mkdir -p build/docs
	cp -r docs/images build/docs
	for page in README.rst docs/*.rst benchmarks/*.rst; do \
	  $(VENV)/bin/docutils --halt=warning $$page build/docs/$$(echo $$page | tr / -).html || exit 1; done

# The pages that follow from the source.
pages: $(VENV)/.installed-$(EXTRAS)
	$(PY) docs/generate.py

dist: $(VENV)/.installed-$(EXTRAS)
	$(PY) -m build

clean:
	rm -rf build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(PY):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xmppd needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(PY)
	$(PIP) $(EDITABLE) .
	touch $@

$(VENV)/.installed-$(EXTRAS): setup.cfg pyproject.toml | $(PY)
	$(PIP) $(EDITABLE) '.[$(EXTRAS)]'
	touch $@ $(VENV)/.installed
