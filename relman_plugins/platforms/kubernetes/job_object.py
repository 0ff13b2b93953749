"""From a try of a suite to the Job that runs it: pure."""

from __future__ import annotations

from pathlib import PurePosixPath

from relman_plugins.domain.suite_job import FAILED_TESTS, MOST_NAMES, REPORTS, SuiteJob, mark_of
from relman_plugins.platforms.kubernetes.objects import MANAGER, Obj

SUITE, COLLECTOR = "suite", "collector"
"""The containers of the pod."""

RELEASE, STEP, JOB = "relman/ran-for", "relman/ran-by", "relman/job"
"""Labels of a Job and its pod: `mark_of` the release, of the step, and the Job's name.

None of those of a service's own objects: what counts a service's pods must not count these.
"""

STOPPED = "relman/stopped"
"""Annotation: why relman stopped the Job."""

MOST_BYTES = 4 * 1024 * 1024
"""How large the reports of one try may be together, compressed: their text stays in one file of the log."""

MOST_SPACE = "1Gi"
"""How much the suite may write into the folder of its reports."""

START_S = 600
"""Seconds that a pod may take to find a node and get its image."""

KEPT_S = 14 * 24 * 3600
"""Seconds after which the cluster removes a Job that has ended, if nobody has done it.

Longer than a release is held: with the Job goes all that is known of a try, and it would run again.
"""

GRACE_S = 60
"""Seconds that the collector has to hand the reports over."""

BEGIN, END = "relman-reports-begin", "relman-reports-end"

READY = ".relman-ready"
"""File by which the collector says that it may be ended: earlier it would not hear of it."""

_COLLECT = f"""
hand_over() {{
  cd "$RELMAN_REPORTS" || exit 1
  echo {BEGIN}
  tar cf - "$@" 2>/dev/null | gzip -c | head -c {MOST_BYTES + 1} | base64
  echo {END}
  exit 0
}}
trap 'hand_over "$@"' TERM
: > "$RELMAN_REPORTS/{READY}"
while :; do sleep 3600 & wait $!; done
"""
"""What the collector does. The names of the reports are its arguments, never part of the text."""


def job_object(job: SuiteJob, namespace: str) -> Obj:
    """Return the Job.

    The command is the pod's only ordinary container. The collector is a sidecar, an init container that is
    always restarted: the cluster ends it when the command has ended, however that was, and then it prints the
    reports to its own log. So relman needs no right but to read logs, nothing has to be put into the
    command's image, and no volume is shared with anybody.
    """
    labels = {
        "app.kubernetes.io/managed-by": MANAGER,
        RELEASE: mark_of(job.release_id),
        STEP: mark_of(job.release_id, job.step),
        JOB: job.name,
    }
    about = {"relman/release": job.release_id, "relman/step": job.step, "relman/try": str(job.attempt)}
    failed = "".join(f"{' '.join(name.split())}\n" for name in job.failed)
    names = {"relman/failed-tests": failed if len(failed.encode()) <= MOST_NAMES else ""}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name, "namespace": namespace, "labels": labels, "annotations": about},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            # For the case that relman is not there to do it.
            "activeDeadlineSeconds": int(job.timeout_s) + START_S + GRACE_S,
            "ttlSecondsAfterFinished": KEPT_S,
            "template": {"metadata": {"labels": labels, "annotations": about | names}, "spec": _pod(job)},
        },
    }


def _pod(job: SuiteJob) -> Obj:
    where = {"name": "reports", "mountPath": REPORTS}
    folder = str(PurePosixPath(FAILED_TESTS).parent)
    names = {
        "path": PurePosixPath(FAILED_TESTS).name,
        "fieldRef": {"fieldPath": "metadata.annotations['relman/failed-tests']"},
    }
    limits = {k: v for k, v in (("cpu", job.cpu), ("memory", job.memory)) if v}
    collector: Obj = {
        "name": COLLECTOR,
        "image": job.collector,
        "restartPolicy": "Always",
        "command": [
            "sh",
            "-c",
            _literal(_COLLECT),
            COLLECTOR,
            *(_literal(f"./{name}") for name in job.files),
        ],
        "env": [{"name": "RELMAN_REPORTS", "value": REPORTS}],
        # A limit of each, since a quota of limits lets no container in without.
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi"},
        },
        "securityContext": _CONFINED,
        "startupProbe": {
            "exec": {"command": ["sh", "-c", '[ -e "$1" ]', COLLECTOR, f"{REPORTS}/{READY}"]},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "volumeMounts": [where],
    }
    suite: Obj = {
        "name": SUITE,
        "image": job.image,
        "command": [_literal(part) for part in job.command],
        "env": [{"name": k, "value": _literal(v)} for k, v in sorted(job.variables.items())],
        "resources": {"requests": limits, "limits": limits} if limits else {},
        "securityContext": _CONFINED,
        "volumeMounts": [where, {"name": "about", "mountPath": folder, "readOnly": True}],
    }
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_S,
        "enableServiceLinks": False,
        "automountServiceAccountToken": job.service_account is not None,
        **({"serviceAccountName": job.service_account} if job.service_account else {}),
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            **({"runAsUser": job.user, "runAsNonRoot": True, "fsGroup": job.user} if job.user else {}),
        },
        "initContainers": [collector],
        "containers": [suite],
        "volumes": [
            {"name": "reports", "emptyDir": {"sizeLimit": MOST_SPACE}},
            {"name": "about", "downwardAPI": {"items": [names]}},
        ],
    }


_CONFINED: Obj = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _literal(text: str) -> str:
    """Return a text of a container so that Kubernetes puts no variable into it."""
    return text.replace("$", "$$")
