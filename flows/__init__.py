"""The story: flows as short sentences of task calls, and the command line."""
