"""A simulated modem in real time for any AT client: on a pseudo-terminal or a TCP port, controllable while it runs."""
