"""Networks of the guests on this host: links, firewall, DHCP, modes."""
