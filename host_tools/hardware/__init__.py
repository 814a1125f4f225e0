"""Real boards and the virtual board: flashing, provisioning, deployment, monitoring."""
