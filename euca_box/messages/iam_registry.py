"""IAM and STS action name -> message: what the front end may ask the CLC for. The coverage table reads it."""

from types import ModuleType
from typing import Any

from euca_box.messages import (
    iam_access_keys,
    iam_accounts,
    iam_certificates,
    iam_grants,
    iam_groups,
    iam_instance_profiles,
    iam_logins,
    iam_policies,
    iam_roles,
    iam_simulation,
    iam_users,
    sts,
)
from euca_box.messages.base import Op

_MODULES = (
    iam_users,
    iam_groups,
    iam_roles,
    iam_instance_profiles,
    iam_policies,
    iam_grants,
    iam_access_keys,
    iam_logins,
    iam_accounts,
    iam_certificates,
    iam_simulation,
)


def _actions_of(*modules: ModuleType) -> dict[str, type[Op[Any]]]:
    return {
        name: kind
        for module in modules
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, Op) and kind is not Op
    }


IAM_ACTIONS = _actions_of(*_MODULES)
STS_ACTIONS = _actions_of(sts)
