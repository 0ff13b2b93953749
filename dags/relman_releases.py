"""The release pipelines as Airflow DAGs: one for each spec in the folder ``release_specs``.

Put this file into Airflow's DAG folder. The specs are looked for beside that folder, unless
``[relman] specs_folder`` in Airflow's configuration or RELMAN_SPECS in the environment says where they are.
"""

from pathlib import Path

from relman_plugins.factory.loader import load_dags, specs_folder

load_dags(globals(), specs_folder(Path(__file__).resolve().parent.parent / "release_specs"))
