"""The pure core: data in, data out.

Nothing here knows a clock, a network, a log or an environment. Time goes in as epoch seconds on
the API server's clock; decisions and the next time to look come out.
"""
