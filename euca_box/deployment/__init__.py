"""What lies beside the program where it is installed: the unit of systemd, a dashboard for Grafana."""
