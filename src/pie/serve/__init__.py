"""What pie shows: metrics and health over HTTP. Reads what the controller fills in; knows nothing of it."""
