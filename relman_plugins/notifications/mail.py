"""Email, through Airflow's SMTP provider.

At least once: when the answer to a letter got lost, or the process died while sending, it is sent again. Both
copies have the same ``Message-ID``, made of the event's key, by which mail systems that look for copies drop
the second one; an SMTP server can't be asked what it has sent.
"""

from __future__ import annotations

import smtplib

from relman_plugins.errors import ClientRejected, ClientUnavailable
from relman_plugins.notifications.letter import Letter, message_id
from relman_plugins.plan.routing import CONNECTIONS, EMAIL


def send_mail(letter: Letter) -> str:
    """Send a letter; return its ``Message-ID``.

    Raises:
        ClientRejected: The server refuses the letter or its recipient for good.
        ClientUnavailable: Anything else; trying again can help.
    """
    id_ = message_id(letter.key)
    headers = {
        "Message-ID": id_,
        "References": message_id(letter.release),
        "Auto-Submitted": "auto-generated",
        "X-Relman-Event": letter.event,
        "X-Relman-Severity": letter.severity,
    }
    where = f"email through connection {letter.connection or CONNECTIONS[EMAIL]}"
    try:
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        with SmtpHook(smtp_conn_id=letter.connection or CONNECTIONS[EMAIL]) as server:
            server.send_email_smtp(
                to=[letter.address],
                subject=letter.subject,
                html_content=letter.html,
                custom_headers=headers,
            )
    except ImportError as error:
        raise ClientUnavailable(f"{where}: {error}; pip install apache-airflow-providers-smtp") from error
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise _meant(where, f"the recipient is refused ({codes})", min(codes, default=0)) from error
    except smtplib.SMTPResponseException as error:
        raise _meant(where, f"{error.smtp_code} {error.smtp_error!r}", error.smtp_code) from error
    except Exception as error:
        # Whatever keeps us from telling (no connection, no network, a broken answer) must stay here.
        raise ClientUnavailable(f"{where}: {error or type(error).__name__}") from error
    return id_


def _meant(where: str, said: str, code: int) -> Exception:
    # A wrong password is 535, and somebody repairs it.
    final = 500 <= code < 600 and code not in (530, 534, 535, 538)
    return (ClientRejected if final else ClientUnavailable)(f"{where}: {said}")
