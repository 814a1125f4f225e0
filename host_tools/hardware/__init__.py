"""Real boards, and a virtual one that behaves as they do: deployment, provisioning, monitoring, flashing."""
