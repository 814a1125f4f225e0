"""The network beyond the carrier: packets, TCP, name service, hosts, and bridges to real loopback sockets."""
