"""What puts Potoo on the internet: proxies, containers, clusters, dashboards, alerts."""
