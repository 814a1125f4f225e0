"""What people see of a fleet of devices, and do to it: the web page and its JSON interface."""
