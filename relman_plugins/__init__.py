"""relman: release management on Apache Airflow.

The root is lazy on purpose: Airflow imports it in every process, so it pulls in nothing.
"""

__version__ = "0.1.0"
