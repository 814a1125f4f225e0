"""The simulated carrier behind the HTTP interfaces of real platforms, for programs that talk to those.

Written from the platforms' public descriptions, apart from the clients in this package: the two share no code of what
an interface means, so that a test may compare them.
"""
