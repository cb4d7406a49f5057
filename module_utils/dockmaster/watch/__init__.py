"""The watcher: follows the events of every Docker host, and changes HAProxy's servers as they happen."""
