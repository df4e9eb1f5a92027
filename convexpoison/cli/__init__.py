"""The command line: ``commands`` has what a user calls, ``input`` reads files and options, ``output`` writes results."""
