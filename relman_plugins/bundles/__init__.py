"""Where Airflow gets DAG files and specs from: the DAG bundles of relman."""
