"""How many instances there are, and which are on their way, kept up to date with each change: a launch must
not look at them all."""

from collections import Counter

from euca_box.model.instances import Instance, InstanceState

TRANSITIONAL = frozenset((InstanceState.PENDING, InstanceState.STOPPING, InstanceState.SHUTTING_DOWN))


class Census:
    """`live`: account -> instances that have not ended; `waiting`: VM type -> those that no cluster has;
    `groups`: security group -> live instances in it; `underway`: those between two states."""

    def __init__(self) -> None:
        self.live: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()
        self.groups: Counter[str] = Counter()
        self.underway: dict[str, Instance] = {}

    def note(self, before: Instance | None, after: Instance | None) -> None:
        """A record came, changed or went."""
        if after is not None and after.state in TRANSITIONAL:
            self.underway[after.instance_id] = after
        elif before is not None:
            self.underway.pop(before.instance_id, None)
        for record, one in ((before, -1), (after, 1)):
            if record is not None and record.ended_at is None:
                self.live[record.account] += one
                self.waiting[record.instance_type] += 0 if record.placed else one
                for group_id in record.group_ids:
                    self.groups[group_id] += one
