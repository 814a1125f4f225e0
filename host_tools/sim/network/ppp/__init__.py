"""The Point-to-Point Protocol on the wire, for both ends: a modem's, and a device's that has `network.PPP`."""
