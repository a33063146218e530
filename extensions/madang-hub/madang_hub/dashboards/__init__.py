"""Dashboards: what is published, in which version, for whom. The service and the gateway stand on it."""
