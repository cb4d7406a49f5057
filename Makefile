# Needs make and python3-venv. Extra arguments for a playbook: make up ARGS="-e app_image_...=..."
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export LC_ALL := C.UTF-8
# Python compiles what it imports, once, instead of pip all that it installs.
export PYTHONDONTWRITEBYTECODE :=
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: up down check test bench simulate
.DELETE_ON_ERROR:

up: .venv/runtime
	.venv/bin/ansible-playbook site.yml $(ARGS)

down: .venv/runtime
	.venv/bin/ansible-playbook playbooks/remove.yml $(ARGS)

check: .venv/development
	.venv/bin/python tests/stages.py lint unit

test: .venv/development .cache/bench/plots/installed
	.venv/bin/python tests/stages.py molecule-default molecule-cluster molecule-used molecule-sysv lint unit simulation bench-smoke

# make simulate SECONDS=600 goes on for ten minutes, with other histories each time.
simulate: .venv/development
	SIMULATE_SECONDS=$(or $(SECONDS),60) .venv/bin/python -m pytest -s tests/simulation/test_histories.py

molecule-%: .venv/development
	.venv/bin/python tests/stages.py $@

# make bench BENCH="convergence churn" measures only these.
bench: .venv/development .cache/bench/plots/installed .cache/bench/easyhaproxy/installed
	.venv/bin/python tests/stages.py bench

# The files are stamps: pip runs again only when the pins change.
.venv/runtime: requirements.txt requirements.yml
	python3 -m venv .venv
	.venv/bin/pip install --quiet --no-compile --requirement requirements.txt
	.venv/bin/ansible-galaxy collection install --requirements-file requirements.yml
	touch $@

.venv/development: requirements-dev.txt .venv/runtime
	.venv/bin/pip install --quiet --no-compile --requirement requirements-dev.txt
	touch $@

.cache/bench/%/installed: bench/requirements-%.txt
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --no-compile --requirement $<
	touch $@
