#!/bin/sh
# Grafana's own entry point has this name.
exec python3 /grafana.py
