"""What an application costs a month: simulated on several networks, explained by cause, and held to a budget."""
