# `make run` starts everything, even on a fresh clone. Each target installs what it needs: Python packages into this
# folder, and programs for the tests with apt-get. PYTHON selects the interpreter, as in: make run PYTHON=python3.12

PYTHON ?= python3
export PYTHON
UV = .bootstrap/bin/uv
COMPILE = $(UV) --quiet pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header
# The environment for targets that only read the code: the settings then need no secret key and no data of their own.
CHECKING = DEBUG=1 VAR_DIR=.mypy_cache/var

.PHONY: help run demo test bench bench-large screenshots lint format messages lock
.NOTPARALLEL:

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

run: ## Starts web server, worker, beat and the partner simulator with demo data; Ctrl-C ends them
	@sh requirements/install.sh run
	@exec .venv/bin/python manage.py serve

demo: ## Plays every operation with real processes on throw-away data, and checks what the partners receive
	@sh requirements/install.sh run
	@exec .venv/bin/python manage.py demo

test: ## Runs all tests on PostgreSQL, and the database-dependent ones on SQLite too; some: make test ARGS="-k workflow"
	@sh requirements/install.sh test
	@exec .venv/bin/python -m tests.run $(ARGS)

bench: ## Compares performance with baselines in under 15 minutes; one row: make bench ARGS="--only drain --rounds 1"
	@sh requirements/install.sh bench
	@exec .venv/bin/python -m bench $(ARGS)

bench-large: ## Measures with a large database and over many deliveries; needs 10 GB of disk and about 20 minutes
	@sh requirements/install.sh bench
	@exec .venv/bin/python -m bench --large $(ARGS)

screenshots: ## Makes the pictures of the pages in docs/screenshots, on throw-away data; about 3 minutes
	@sh requirements/install.sh screenshots
	@exec .venv/bin/python -m tests.screenshots $(ARGS)

lint: ## Checks style, types, security, import contracts, templates and migrations
	@sh requirements/install.sh lint
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(CHECKING) .venv/bin/mypy
	.venv/bin/bandit --quiet --recursive --configfile pyproject.toml casexchange changes integrations manage.py
	.venv/bin/lint-imports --no-logo
	.venv/bin/djlint --lint --quiet .
	$(CHECKING) .venv/bin/python manage.py makemigrations --check --dry-run

format: ## Formats the code
	@sh requirements/install.sh lint
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

messages: ## Collects the texts of the pages into locale/ for translation, and compiles the translations
	@sh requirements/install.sh messages
	$(CHECKING) .venv/bin/python manage.py makemessages --locale de --no-obsolete --no-wrap --add-location file \
		--ignore '.*' --ignore var --ignore bench --ignore tests --ignore 'integrations/sandbox'
	$(CHECKING) .venv/bin/python manage.py compilemessages --locale de --ignore '.*'

lock: ## Locks the newest versions that pyproject.toml allows, with hashes and without addresses
	@sh requirements/install.sh run
	$(COMPILE) --upgrade --group pyproject.toml:bootstrap -o requirements/bootstrap.txt
	$(COMPILE) --upgrade pyproject.toml -o requirements/run.txt
	$(COMPILE) --upgrade pyproject.toml --group tracing --constraints requirements/run.txt -o requirements/tracing.txt
	$(COMPILE) --upgrade pyproject.toml --group dev --group tracing --constraints requirements/tracing.txt -o requirements/dev.txt
