"""What pie serves over HTTP: metrics, health, API and page. It shows what the controller puts in."""
