"""Room ``clients``: outside systems (metrics, reports), and the one HTTP factory they share."""
