"""Guests: the Hypervisor protocol, libvirt, disks, consoles, a fake."""
