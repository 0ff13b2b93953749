"""Gates: what must hold before a stage changes its environment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Strict, StringConstraints, Tag
from pydantic_core import PydanticCustomError

from relman_plugins.domain.condition import PATTERN, ConditionError, parse
from relman_plugins.domain.field import Field as Answer
from relman_plugins.domain.parameter import Kind
from relman_plugins.spec.models.base import Flag, Line, Name, Number, SpecModel, Text
from relman_plugins.spec.models.checklist import AnyOf
from relman_plugins.spec.models.duration import Duration
from relman_plugins.spec.models.parameter import ParameterName
from relman_plugins.spec.models.ticket import JiraTicket, ServiceNowTicket


def _approvers_kind(value: Any) -> str:
    return "people" if isinstance(value, list | tuple) else "group"


Approvers = Annotated[
    Annotated[Name, Tag("group")]
    | Annotated[tuple[Name, ...], Field(min_length=1, max_length=50), Tag("people")],
    Discriminator(_approvers_kind),
    AnyOf(),
]
"""A group from `people.yaml`, or the ids of people in it."""


def _condition(text: str) -> str:
    try:
        parse(text)
    except ConditionError as error:
        said = {"expected": error.expected, "offset": error.offset, "found": error.found, "hint": error.hint}
        raise PydanticCustomError("condition", "is no condition", said) from None
    return text


When = Annotated[
    str,
    StringConstraints(max_length=60),
    AfterValidator(_condition),
    Field(json_schema_extra={"pattern": PATTERN, "examples": ["risk >= medium", "risk == high"]}),
]
"""A comparison of the release's risk with `low`, `medium` or `high`, by `>=`, `>`, `==`, `<` or `<=`."""


class AnswerField(SpecModel):
    """A field of an approval's form: what somebody who approves must say besides yes."""

    description: Annotated[Text, StringConstraints(min_length=1)]
    """What it is for; shown below the field."""
    type: Kind = "string"
    """`string` is one line, `text` several; or `integer`, `number`, `boolean`."""
    title: Line | None = None
    """What the field is called; made from its name unless given."""
    required: Flag = True
    """Whether an approval that leaves it empty does not count."""
    enum: Annotated[tuple[Line, ...], Field(max_length=100)] = ()
    """The only values of a `string`; the form offers them as a list."""
    pattern: Line | None = None
    """What the whole of a `string` must match: a regular expression, without look-around."""
    min: Number | None = None
    """The smallest value of a number."""
    max: Number | None = None
    """The largest value of a number."""

    def called(self, name: str) -> Answer:
        """Return the field of this name that the plan has."""
        return Answer(
            name=name,
            type=self.type,
            title=self.title or "",
            description=self.description.strip(),
            required=self.required,
            enum=self.enum,
            pattern=self.pattern,
            min=self.min,
            max=self.max,
        )


class ExceptionRule(SpecModel):
    """How many of whom must approve, and what they must say."""

    approval: Approvers
    """The group, from `people.yaml`, whose members may approve; or a list of people from there."""
    quorum: Annotated[int, Strict(), Field(ge=1, le=50)] = 1
    """How many different people must approve. One rejection ends the gate."""
    comment: Literal["optional", "required"] = "optional"
    """Whether an approval must say why."""
    fields: Annotated[dict[ParameterName, AnswerField], Field(max_length=20)] = Field(default_factory=dict)
    """What else an approval must say, by name: a change number, a class of risk."""
    self_approval: Literal["refused", "allowed"] = "refused"
    """Whether whoever started the release, or wrote commits in it, may approve it."""


class ApprovalRule(ExceptionRule):
    """One rule: how many of whom, and what they must say."""

    waivable: Flag = False
    """Whether an emergency release skips the rule, as the environment's `break_glass` says; only there."""
    when: When | None = None
    """Asked for only at this risk of the release, such as `risk >= medium`; whenever it is not known, too."""


class Escalation(SpecModel):
    """Who else may answer when a gate has waited for a time."""

    after: Duration
    """How long after the gate was opened."""
    to: Name
    """The group, from `people.yaml`, whose members may answer from then on, for any rule."""


class GateTerms(SpecModel):
    """How long people are asked, and for how long their answer holds."""

    timeout: Duration = Duration(86_400)
    """How long the gate waits for answers."""
    remind: Duration | Literal["never"] = Field(
        default=Duration(4 * 3600), json_schema_extra={"default": "4h"}
    )
    """How often those who still can answer are reminded, or `never`."""
    on_timeout: Literal["reject", "expire"] = "reject"
    """What happens when time is up: the release is rejected, or it expires."""
    escalate: Escalation | None = None
    """Who else may answer when nobody has decided for a time."""
    valid_for: Duration | None = None
    """How long an approval holds: at each raise of traffic after that, people are asked again."""


class ApprovalGate(GateTerms, ApprovalRule):
    """People say yes, by one rule."""

    @property
    def rules(self) -> tuple[ApprovalRule, ...]:
        """Return the one rule."""
        return (self,)


class RulesGate(GateTerms):
    """People say yes, by several rules: all are needed, and one person counts for one of them."""

    rules: Annotated[tuple[ApprovalRule, ...], Field(min_length=1, max_length=10)]
    """What must be met, each by other people."""


def _ticket_kind(value: Any) -> str:
    named = str(value.get("system")).lower() if isinstance(value, dict) else ""
    if isinstance(value, JiraTicket) or named.startswith("jira"):
        return JiraTicket.__name__
    return ServiceNowTicket.__name__ if isinstance(value, dict | ServiceNowTicket) else "required"


ChangeTicket = Annotated[
    Annotated[Literal["required"], Tag("required")]
    | Annotated[ServiceNowTicket, Tag("ServiceNowTicket")]
    | Annotated[JiraTicket, Tag("JiraTicket")],
    Discriminator(_ticket_kind),
    AnyOf(),
]
"""That there is one, or what its system must say of it."""


class ChangeTicketGate(SpecModel):
    """The release carries the ticket of a change."""

    change_ticket: ChangeTicket
    """`required`, or what must be true of the ticket.

    `required`: a release starts only with the ticket's link or number, in the form or with `--ticket`; nobody
    looks at it. A mapping names the system that is asked, and what it must say.
    """


def gate_kind(value: Any) -> str:
    """Return the name of the model that a gate is written for."""
    for key, model in (("change_ticket", ChangeTicketGate), ("rules", RulesGate)):
        if key in value if isinstance(value, dict) else isinstance(value, model):
            return model.__name__
    return ApprovalGate.__name__


Gate = Annotated[
    Annotated[ApprovalGate, Tag("ApprovalGate")]
    | Annotated[RulesGate, Tag("RulesGate")]
    | Annotated[ChangeTicketGate, Tag("ChangeTicketGate")],
    Discriminator(gate_kind),
    AnyOf(),
]
"""People who say yes, or a ticket that is there."""
