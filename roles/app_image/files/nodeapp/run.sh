#!/bin/sh
# exec: node takes the place of the shell, and so gets Docker's signals.
exec node /server.js
