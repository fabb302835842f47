"""What people look at: the web console, Grafana, alerts."""
