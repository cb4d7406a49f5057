"""Dockmaster's engine: what Docker runs, made what HAProxy balances.

It imports nothing of Ansible, and uses what Debian packages: python3-docker, python3-jinja2 and
python3-yaml. Imports are relative throughout, because Ansible ships the engine to a host by reading
the import lines of a module.
"""

__version__ = "0.2.0"
