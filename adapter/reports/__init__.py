"""Reports: what the network's people get back, each defined by one file in profiles/reports. For authors: docs/reports.md."""
