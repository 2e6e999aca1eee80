"""IAM 2010-05-08: what policies would decide.

Names, and which members are optional, are those of the API reference.
"""

from dataclasses import dataclass

from euca_box.messages.base import Op


@dataclass(frozen=True)
class Position:
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class Statement:
    source_policy_id: str | None = None
    source_policy_type: str | None = None
    start_position: Position | None = None
    end_position: Position | None = None


@dataclass(frozen=True)
class EvaluationResult:
    eval_action_name: str
    eval_decision: str
    eval_resource_name: str | None = None
    matched_statements: tuple[Statement, ...] = ()
    missing_context_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class SimulatePrincipalPolicyResult:
    evaluation_results: tuple[EvaluationResult, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ContextEntry:
    context_key_name: str | None = None
    context_key_values: tuple[str, ...] = ()
    context_key_type: str | None = None


@dataclass(frozen=True)
class SimulatePrincipalPolicy(Op[SimulatePrincipalPolicyResult], role="clc"):
    policy_source_arn: str
    action_names: tuple[str, ...]
    policy_input_list: tuple[str, ...] = ()
    resource_arns: tuple[str, ...] = ()
    context_entries: tuple[ContextEntry, ...] = ()
    max_items: int | None = None
    marker: str | None = None


@dataclass(frozen=True)
class SimulateCustomPolicyResult:
    evaluation_results: tuple[EvaluationResult, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class SimulateCustomPolicy(Op[SimulateCustomPolicyResult], role="clc"):
    policy_input_list: tuple[str, ...]
    action_names: tuple[str, ...]
    resource_arns: tuple[str, ...] = ()
    context_entries: tuple[ContextEntry, ...] = ()
    max_items: int | None = None
    marker: str | None = None
