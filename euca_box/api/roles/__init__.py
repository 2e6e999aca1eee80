"""The REST side of the bus: what other hosts ask the roles of this one."""
