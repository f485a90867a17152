# make quickstart    set up .venv and classify sample photographs
# make test          set up what the tests need, lint, run the suite
# make test-slow     what is too long for every change
# make test-pythons  make test on each supported Python that is found
# make test-lowest   make test with the lowest versions of everything that pyproject.toml allows
# make test-browser  the demo in a real browser: needs Chromium, such as Debian's package
# make lint          ruff check and format, mypy --strict
# make docs          the documentation site, in build/site/site
# make build         sdists and wheels of pvzoo and its plugins, checked, in dist/
PYTHON ?= python3.11
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
PLUGINS := $(wildcard plugins/*/pyproject.toml)

# each process that a test starts would compile all of pvzoo again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test test-slow test-pythons test-lowest test-browser lint docs build clean

quickstart: .venv/quickstart
	$(BIN)/python demos/quickstart.py

# most tests leave a second core idle
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: .venv/test .venv/docs
	$(BIN)/python -m pytest -m slow -v --no-header
	@echo "make test-slow ran every test marked slow: those listed above"

# nox makes an environment for each; one that is there is brought up to date
test-pythons: .venv/nox
	$(BIN)/nox --session tests

test-lowest: .venv/nox
	$(BIN)/nox --session lowest

# in `make test` these are skipped where there is no browser
test-browser: .venv/test
	@which chromium chromium-browser > /dev/null || (echo "There is no Chromium: install it, such as Debian's package chromium."; exit 1)
	$(BIN)/python -m pytest -v --no-header tests/test_demo_browser.py

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

docs: .venv/docs
	$(BIN)/python docs/site

# from the archive of the last commit: nothing that lies around here gets into a package
build: .venv/build
	rm -rf dist build/source && mkdir -p build/source
	git archive HEAD | tar -x -C build/source
	$(BIN)/python docs/site/absolute_links.py build/source
	for plugin in build/source/plugins/*/; do cp LICENSE "$$plugin"; done
	for project in build/source $(patsubst %/pyproject.toml,build/source/%,$(PLUGINS)); do \
	    $(BIN)/python -m build --outdir dist "$$project" || exit 1; done
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python tests/built.py dist

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

# pip sees pvzoo and its plugins in one call, so a plugin's need for pvzoo is met from here
.venv/quickstart: .venv/pyvenv.cfg pyproject.toml demos/requirements.txt $(PLUGINS)
	$(BIN)/python -m pip install --quiet -r demos/requirements.txt \
	    -e '.[train,demo,video,export,onnx]' $(patsubst %/pyproject.toml,-e ./%,$(PLUGINS))
	@touch $@

.venv/test: .venv/quickstart
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@

.venv/nox: .venv/pyvenv.cfg
	$(BIN)/python -m pip install --quiet 'nox[uv]>=2026.10'
	@touch $@

.venv/docs: .venv/quickstart
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	@touch $@

.venv/build: .venv/pyvenv.cfg
	$(BIN)/python -m pip install --quiet 'build>=1.2' 'twine>=6.1'
	@touch $@

clean:
	rm -rf .venv quickstart-output
