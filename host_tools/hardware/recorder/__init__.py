"""`usageguard record`: a real modem's answers, delays and boot lines as a profile of the simulated modem."""
