CREATE TABLE elastic_address (allocation_id text PRIMARY KEY, public_ip text NOT NULL UNIQUE, instance_id text);
