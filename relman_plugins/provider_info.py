"""What Airflow's provider discovery is told about relman. Data only: it is imported in every process."""

from __future__ import annotations

from typing import Any

_HOOKS = "relman_plugins.hooks.connections"
_TOKEN = {
    "label": "Bearer token",
    "description": "Sent instead of login and password, when the server asks for one.",
    "schema": {"type": ["string", "null"], "format": "password"},
}
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def get_provider_info() -> dict[str, Any]:
    """Return relman's provider information, in the form of Airflow's ``provider.yaml``."""
    return {
        "package-name": "relman",
        "name": "relman",
        "description": "Release management: specs, gates, progressive delivery, rollback, and a record.",
        "config": {
            "relman": {
                "description": "Settings of relman.",
                "options": {
                    "home": _option(
                        "Folder for the embedded ledger, artifacts, spool; empty for $AIRFLOW_HOME/relman.",
                        "",
                        "/var/lib/relman",
                    ),
                    "ledger_conn_id": _option(
                        "Connection of the ledger's PostgreSQL database; empty for the embedded SQLite one.",
                        "",
                        "relman_ledger",
                    ),
                    "signing_conn_id": _option(
                        "Connection with the Ed25519 key that the record is signed with; empty for none.",
                        "",
                        "relman_signing",
                    ),
                    "base_url": _option(
                        "Public address of Airflow for links; empty for [api] base_url.",
                        "",
                        "https://airflow.example",
                    ),
                    "trace_url": _option(
                        "Address of a trace in your tracing tool, with {trace_id} in it, for links.",
                        "",
                        "https://tempo.example/trace/{trace_id}",
                    ),
                    "specs_folder": _option(
                        "Folder of the release specs; empty for release_specs beside the DAG folder.",
                        "",
                        "/opt/airflow/release_specs",
                    ),
                    "notifiers": _option(
                        "JSON object: names that routes may use in `to`, each with the class of an Airflow "
                        "notifier and its arguments, which see the letter as `relman`.",
                        "",
                        '{"pager": {"class": "shop.notifiers.Pager", "arguments": {"text": "x"}}}',
                    ),
                    "spec_cache": _option(
                        "`off`: what a spec was compiled to is not kept in `home` for the next parse.",
                        "on",
                        "off",
                    ),
                    "minimum_deferral": _option(
                        "Seconds between a task's deferral and the earliest event of its trigger. Airflow "
                        "3.3.2 can fail a task that is resumed sooner.",
                        "8",
                        "8",
                    ),
                    "window_spread": _option(
                        "Seconds over which the releases are spread that wait for one opening of a window.",
                        "60",
                        "300",
                    ),
                    "rehearsal_clock": _option(
                        "For rehearsals only: a file with the seconds by which the ledger's clock is ahead.",
                        "",
                        "/var/lib/relman/clock",
                    ),
                },
            }
        },
        "connection-types": [
            {
                "connection-type": "relman_sandbox",
                "hook-class-name": f"{_HOOKS}.SandboxConnectionHook",
                "hook-name": "relman sandbox",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login", "extra"],
                    "relabeling": {"port": "Control port", "password": "Token, if it has one"},
                    "placeholders": {"host": "127.0.0.1", "port": "from the daemon's --ready-file"},
                },
            },
            *_sources(),
            {
                "connection-type": "relman_servicenow",
                "hook-class-name": f"{_HOOKS}.ServiceNowConnectionHook",
                "hook-name": "relman ServiceNow",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {"host": "Address"},
                    "placeholders": {"host": "https://instance.service-now.com"},
                },
                "conn-fields": {"token": _TOKEN},
            },
            {
                "connection-type": "relman_jira",
                "hook-class-name": f"{_HOOKS}.JiraConnectionHook",
                "hook-name": "relman Jira",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {"host": "Address", "login": "Email", "password": "API token"},
                    "placeholders": {"host": "https://example.atlassian.net"},
                },
                "conn-fields": {"token": _TOKEN},
            },
            {
                "connection-type": "relman_signing",
                "hook-class-name": f"{_HOOKS}.SigningConnectionHook",
                "hook-name": "relman signing key",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema", "login", "extra"],
                    "relabeling": {"password": "Private key (Ed25519, PEM)"},
                    "placeholders": {"password": "openssl genpkey -algorithm ed25519"},
                },
            },
            {
                "connection-type": "relman_ledger",
                "hook-class-name": f"{_HOOKS}.LedgerConnectionHook",
                "hook-name": "relman ledger (PostgreSQL)",
                "ui-field-behaviour": {
                    "hidden-fields": ["extra"],
                    "relabeling": {"schema": "Database"},
                    "placeholders": {"host": "db.example, or the folder of a socket", "port": "5432"},
                },
                "conn-fields": {
                    "sslmode": {
                        "label": "SSL mode",
                        "description": "How the connection is protected; empty for libpq's own choice.",
                        "schema": {"type": ["string", "null"], "enum": [None, *_SSL_MODES]},
                    },
                    "sslrootcert": {
                        "label": "SSL root certificate",
                        "description": "File with the authorities to trust, on every machine of Airflow.",
                        "schema": {"type": ["string", "null"]},
                    },
                },
            },
        ],
    }


def _sources() -> list[dict[str, Any]]:
    """Return the connection types of sources of numbers."""
    tenant = _text("Tenant", "Sent as X-Scope-OrgID, for servers with tenants.")
    key = {"schema": {"type": ["string", "null"], "format": "password"}}
    return [
        _source("Prometheus", "Prometheus", "https://prometheus.example:9090", token=_TOKEN, org_id=tenant),
        _source("Loki", "Loki", "https://loki.example:3100", token=_TOKEN, org_id=tenant),
        _source(
            "Elasticsearch",
            "Elasticsearch",
            "https://logs.example:9200",
            api_key={"label": "API key", "description": "Encoded, instead of login and password.", **key},
            time_field=_text("Time field", "Where documents have their time; empty for @timestamp."),
        ),
        _source("Json", "JSON over HTTP", "https://stats.example", token=_TOKEN),
        _source("Graphite", "Graphite", "https://graphite.example", token=_TOKEN),
        _source(
            "InfluxDb",
            "InfluxDB",
            "https://influx.example:8086",
            token=_TOKEN,
            database=_text("Database", "The database, or bucket, that is asked."),
        ),
        _source(
            "Datadog",
            "Datadog",
            "https://api.datadoghq.com",
            password="Application key",  # noqa: S106 - the form's word for it
            api_key={"label": "API key", "description": "Sent with the application key.", **key},
        ),
        _source(
            "NewRelic",
            "New Relic",
            "https://api.newrelic.com",
            password="User key",  # noqa: S106 - the form's word for it
            account_id=_text("Account", "The number of the account that is asked."),
        ),
        _source(
            "Google",
            "Google Cloud Monitoring",
            "https://monitoring.googleapis.com",
            password="",
            project=_text("Project", "The project that is asked; empty for the key's own."),
            keyfile_dict={
                "label": "Key of a service account",
                "description": "The JSON file as it was downloaded; it needs the role Monitoring Viewer.",
                **key,
            },
        ),
        _source(
            "CloudWatch",
            "CloudWatch",
            "https://monitoring.eu-central-1.amazonaws.com",
            login="Access key ID",
            password="Secret access key",  # noqa: S106 - the form's word for it
            region_name=_text("Region", "The region that is asked, such as eu-central-1."),
            aws_session_token={"label": "Session token", "description": "Of a temporary key.", **key},
        ),
    ]


def _source(
    name: str,
    label: str,
    example: str,
    *,
    login: str | None = None,
    password: str | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Return a source's form: ``password`` is what it is called there; empty hides it, None leaves both."""
    hidden = ["schema", "port", "extra"]
    hidden += ["login"] if password is not None and login is None else []
    hidden += ["password"] if password == "" else []
    relabeled = {"login": login, "password": password}
    return {
        "connection-type": f"relman_{name.lower()}",
        "hook-class-name": f"relman_plugins.hooks.sources.{name}ConnectionHook",
        "hook-name": f"relman metrics ({label})",
        "ui-field-behaviour": {
            "hidden-fields": hidden,
            "relabeling": {"host": "Address"} | {k: v for k, v in relabeled.items() if v},
            "placeholders": {"host": example},
        },
        "conn-fields": fields,
    }


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def _option(description: str, default: str, example: str) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": "string",
        "example": example,
        "default": default,
    }
