-- What the operator changed of the configured VM types; cpu 0: it is not offered.
CREATE TABLE vm_type (name text PRIMARY KEY, cpu integer NOT NULL, memory_mib integer NOT NULL, disk_gib integer NOT NULL);
