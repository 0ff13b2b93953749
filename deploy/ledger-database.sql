-- The ledger lives in a database of its own: cleaning Airflow's metadata never touches it.
CREATE DATABASE relman OWNER airflow;
