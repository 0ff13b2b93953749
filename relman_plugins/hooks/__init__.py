"""Room 4: an Airflow connection in, a client, a platform or the ledger out."""
