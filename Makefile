# Each target is one line that can also be typed by hand, with `.venv/bin` in front.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv/bin

.PHONY: demo test test-sqlite test-pg check format lint types arch races journeys cover bench

.venv/.installed: requirements.lock
	$(PYTHON) -m venv .venv
	$(VENV)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

.venv/.installed-dev: requirements-dev.lock .venv/.installed
	$(VENV)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

demo: .venv/.installed ## a sample shop, the phone and the server on 127.0.0.1:$(PORT)
	$(VENV)/python -m app demo --port $(PORT)

test: test-sqlite test-pg

test-sqlite: .venv/.installed-dev
	$(VENV)/pytest -n auto

test-pg: .venv/.installed-dev
	$(VENV)/pytest -n auto --db=postgres

check: lint types arch

format: .venv/.installed-dev
	$(VENV)/ruff format . && $(VENV)/ruff check --fix .

lint: .venv/.installed-dev
	$(VENV)/ruff format --check . && $(VENV)/ruff check . && $(VENV)/codespell

types: .venv/.installed-dev
	$(VENV)/mypy

arch: .venv/.installed-dev
	$(VENV)/lint-imports && $(VENV)/deptry app

races: .venv/.installed-dev ## the long form: 20,000 deliveries and 20 kills on each database
	$(VENV)/pytest tests/invariants --long -p no:randomly
	$(VENV)/pytest tests/invariants --long -p no:randomly --db=postgres

journeys: .venv/.installed-dev
	$(VENV)/pytest tests/journeys

cover: .venv/.installed-dev ## branch coverage over both databases: 90 % of all, 95 % of what must not fail
	$(VENV)/coverage erase
	$(VENV)/pytest -n auto --cov --cov-report=
	$(VENV)/pytest -n auto --db=postgres --cov --cov-append --cov-report=
	$(VENV)/coverage report --fail-under=90
	$(VENV)/coverage report --fail-under=95 --include='app/wechat/*,app/db/*,app/conversation/*,app/delivery/*'

bench: .venv/.installed-dev
	$(VENV)/python -m tests.bench
