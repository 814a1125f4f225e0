"""Shows runs to people: live on a terminal, as an HTML page, as plots; the wording of codes."""
