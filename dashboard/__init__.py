"""The Grafana dashboard as data; `python -m dashboard` writes charts/pie/files/dashboard.json."""
