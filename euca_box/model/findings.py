"""What an examination finds, for the operator: one line for each thing that was looked at."""

from dataclasses import dataclass, replace

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """`check` names what was looked at. `remedy`: what to do when it is not ok. `fixed`: just put right."""

    check: str
    state: str
    detail: str
    remedy: str = ""
    fixed: bool = False
    where: str = ""

    def at(self, where: str) -> "Finding":
        return replace(self, where=self.where or where)


def ok(check: str, detail: str) -> Finding:
    return Finding(check, OK, detail)


def warn(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check, WARN, detail, remedy)


def fail(check: str, detail: str, remedy: str) -> Finding:
    return Finding(check, FAIL, detail, remedy)
