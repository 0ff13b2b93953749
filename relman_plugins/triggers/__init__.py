"""Room 5: waiting, async only. A trigger acts at once and yields its event late enough for Airflow."""
