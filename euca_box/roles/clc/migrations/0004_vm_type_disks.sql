-- Disks beside the root that a VM type gives.
ALTER TABLE vm_type ADD COLUMN ephemeral_gib integer NOT NULL DEFAULT 0;
ALTER TABLE vm_type ADD COLUMN swap_mib integer NOT NULL DEFAULT 0
